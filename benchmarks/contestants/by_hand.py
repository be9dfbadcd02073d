"""Loops written by hand, in two manners: as tutorials have them, and as fast as plain torch easily gets."""

import ctypes
import itertools
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from benchmarks import pictures
from benchmarks.contestants import Place
from benchmarks.settings import Settings

CHUNK = 10  # data whose samples are decoded together


class Masked(nn.Linear):
    """A linear layer with a fixed mask."""

    def __init__(self, mask: Tensor):
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.float())

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.mask, self.bias)


class MADE(nn.Sequential):
    """(m, s), coordinate i of each a function of those before it, or after it when ``reverse``."""

    def __init__(self, dim: int, width: int, reverse: bool):
        order = torch.arange(dim, 0, -1) if reverse else torch.arange(1, dim + 1)
        hidden = 1 + torch.arange(width) % (dim - 1)
        super().__init__(
            Masked(hidden[:, None] >= order), nn.ReLU(),
            Masked(hidden[:, None] >= hidden), nn.ReLU(),
            Masked((order[:, None] > hidden).repeat(2, 1)),
        )  # fmt: skip


class VAE(nn.Module):
    """Diagonal Gaussian posterior, with an IAF on top if ``flow``; Bernoulli likelihood by logits."""

    def __init__(self, s: Settings, flow: bool):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(s.pixels, s.width), nn.ReLU(), nn.Linear(s.width, s.width), nn.ReLU(),
            nn.Linear(s.width, 2 * s.dim),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(s.dim, s.width), nn.ReLU(), nn.Linear(s.width, s.width), nn.ReLU(), nn.Linear(s.width, s.pixels)
        )
        self.flow = nn.ModuleList(MADE(s.dim, s.flow_width, t % 2 == 1) for t in range(s.steps * flow))

    def draw(self, mu: Tensor, log_var: Tensor) -> tuple[Tensor, Tensor]:
        """z and log q(z | x) + D/2 log 2 pi."""
        eps = torch.randn_like(mu)
        z, log_q = mu + eps * torch.exp(0.5 * log_var), -0.5 * (log_var + eps.square()).sum(-1)
        for net in self.flow:
            m, s = net(z).chunk(2, -1)
            gate = torch.sigmoid(s + 1.5)
            z, log_q = m + gate * (z - m), log_q - F.logsigmoid(s + 1.5).sum(-1)
        return z, log_q

    def loss(self, x: Tensor) -> Tensor:
        """-ELBO, a mean over the batch."""
        mu, log_var = self.encoder(x).chunk(2, -1)
        z, log_q = self.draw(mu, log_var)
        cross_entropy = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="none").sum(-1)
        if self.flow:
            kl = log_q + 0.5 * z.square().sum(-1)
        else:
            kl = 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum(-1)
        return (cross_entropy + kl).mean()

    def log_likelihood(self, x: Tensor, samples: int) -> Tensor:
        """log p(x) by importance sampling, the encoder run once."""
        mu, log_var = self.encoder(x).expand(samples, -1, -1).chunk(2, -1)
        z, log_q = self.draw(mu, log_var)
        logits = self.decoder(z)
        log_px = (x * logits - F.softplus(logits)).sum(-1)
        return torch.logsumexp(log_px - 0.5 * z.square().sum(-1) - log_q, 0) - math.log(samples)


def train_plain(place: Place, *, flow: bool) -> None:
    """Eager, DataLoader, `torch.bernoulli`, Adam as torch has it by default."""
    model = VAE(place.settings, flow)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = DataLoader(
        TensorDataset(pictures.read(place.data, "train") / 255), batch_size=place.settings.batch, shuffle=True
    )
    while True:
        for (x,) in loader:
            place.gate(len(x))
            loss = model.loss(torch.bernoulli(x))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()


def train_compiled(place: Place, *, flow: bool, malloc: bool = False) -> None:
    """Compiled, fused Adam, bytes indexed, binarised by a comparison; with ``malloc`` large blocks are kept too."""
    if malloc:
        keep_large_blocks()
    model, batch = VAE(place.settings, flow), place.settings.batch
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    loss_of = torch.compile(model.loss) if place.settings.compiled else model.loss
    data = pictures.read(place.data, "train")
    while True:
        for indices in torch.randperm(len(data)).split(batch):
            place.gate(batch)
            x = data[indices] / 255
            loss = loss_of((torch.rand_like(x) < x).float())
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()


def keep_large_blocks() -> None:
    """mallopt: M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_TOP_PAD, as flowvae sets them."""
    libc = ctypes.CDLL(None)
    for key, value in ((-3, 32 << 20), (-1, 2**31 - 1), (-2, 256 << 20)):
        libc.mallopt(key, value)


@torch.no_grad()
def evaluate(place: Place, *, flow: bool) -> None:
    """Eager; all samples of ten data at once."""
    settings = place.settings
    model = VAE(settings, flow)
    data = pictures.bits(pictures.read(place.data, "test")[: settings.points])
    for _ in itertools.count():
        place.gate(settings.points * settings.samples)
        torch.cat([model.log_likelihood(x, settings.samples) for x in data.split(CHUNK)]).mean().item()
