"""A VAE of sequences written by hand: LSTMs in both directions read, an LSTM that starts from z writes."""

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from benchmarks import lines
from benchmarks.contestants import Place
from benchmarks.settings import Settings


class VAE(nn.Module):
    """Diagonal Gaussian posterior; token 0 is the end."""

    def __init__(self, s: Settings):
        super().__init__()
        self.seen = nn.Embedding(s.vocabulary + 1, s.embedding)
        self.reader = nn.LSTM(s.embedding, s.recurrent, batch_first=True, bidirectional=True)
        self.posterior = nn.Linear(2 * s.recurrent, 2 * s.dim)
        self.begin = nn.Sequential(
            nn.Linear(s.dim, s.recurrent), nn.ELU(), nn.Linear(s.recurrent, s.embedding + 2 * s.recurrent)
        )
        self.shown = nn.Embedding(s.vocabulary + 1, s.embedding)
        self.writer = nn.LSTM(s.embedding, s.recurrent, batch_first=True)
        self.head = nn.Linear(s.recurrent, s.vocabulary + 1)
        self.sizes = [s.embedding, s.recurrent, s.recurrent]

    def loss(self, x: Tensor) -> Tensor:
        """-ELBO, a mean over the batch, by teacher forcing."""
        _, (last, _) = self.reader(self.seen(x))
        mu, log_var = self.posterior(torch.cat([last[0], last[1]], -1)).chunk(2, -1)
        logits = self.logits(mu + torch.randn_like(mu) * torch.exp(0.5 * log_var), x[:, :-1])
        cross_entropy = F.cross_entropy(logits.transpose(1, 2), x, reduction="none").sum(-1)
        return (cross_entropy + 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum(-1)).mean()

    def logits(self, z: Tensor, shown: Tensor) -> Tensor:
        """Of every place, from the tokens before it."""
        first, h, c = self.begin(z).split(self.sizes, -1)
        inputs = torch.cat([first[:, None], self.shown(shown)], 1)
        return self.head(self.writer(inputs, (h[None].contiguous(), c[None].contiguous()))[0])


def train(place: Place, *, tuned: bool = False) -> None:
    """Eager: DataLoader and Adam by default; ``tuned`` indexes the data and fuses Adam."""
    settings = place.settings
    lines.write(place.folder / "lines.txt", settings)
    data = torch.from_numpy(lines.read(place.folder / "lines.txt")) + 1
    model = VAE(settings)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=tuned)
    for x in batches(data, settings.batch, tuned):
        place.gate(len(x) * settings.length)
        model.loss(x).backward()
        optimiser.step()
        optimiser.zero_grad()


def batches(data: Tensor, size: int, indexed: bool) -> Iterator[Tensor]:
    """Shuffled batches without end."""
    loader = DataLoader(TensorDataset(data), batch_size=size, shuffle=True, drop_last=True)
    while True:
        if indexed:
            yield from (data[rows] for rows in torch.randperm(len(data)).split(size) if len(rows) == size)
        else:
            yield from (x for (x,) in loader)


@torch.no_grad()
def decode(place: Place) -> None:
    """Every step runs the whole prefix again, as many codes do; the end is never drawn, so that all are long."""
    settings = place.settings
    model = VAE(settings)
    for _ in itertools.count():
        place.gate(settings.decoded * settings.length)
        z, x = torch.randn(settings.decoded, settings.dim), torch.zeros(settings.decoded, 0, dtype=torch.long)
        for _ in range(settings.length):
            logits = model.logits(z, x)[:, -1, 1:]
            x = torch.cat([x, 1 + torch.multinomial(logits.softmax(-1), 1)], 1)
