"""A known property from the latents: ridge regression and Gaussian processes, differentiable in z."""

import math
from abc import ABC, abstractmethod
from dataclasses import replace

import torch
from torch import Tensor

from flowvae.data import Split
from flowvae.data.base import stream
from flowvae.errors import InputError
from flowvae.evaluation.generate import encode
from flowvae.model import VAE

STEPS, RATE = 60, 0.1  # of Adam on the marginal likelihood
DRAWS = 16  # of a posterior whose mean is not known
LEAST = 1e-4  # variance of the noise, on the scale on which the property has variance 1


class Surrogate(ABC):
    """y given z, fitted to z ``(N, D)`` and y ``(N,)`` in double precision; both are standardised inside."""

    def __init__(self, z: Tensor, y: Tensor):
        z, y = z.double(), y.double()
        self.shift, self.scale = z.mean(0), z.std(0).clamp(min=1e-8)
        self.mean, self.sd = y.mean(), y.std().clamp(min=1e-12)
        self.fit((z - self.shift) / self.scale, (y - self.mean) / self.sd)

    def predict(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the property at z ``(*, D)``, each ``(*)``, without its noise."""
        mean, sd = self.standard((z.double() - self.shift) / self.scale)
        return self.mean + self.sd * mean, self.sd * sd

    @abstractmethod
    def fit(self, z: Tensor, y: Tensor) -> None:
        """Learn from standardised data."""

    @abstractmethod
    def standard(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation on the standardised scale."""


class Ridge(Surrogate):
    """y = w z + noise, the penalty of |w|^2 chosen by leave-one-out errors, which are known in closed form.

    Reference: Hoerl and Kennard (1970), Technometrics 12(1).
    """

    def fit(self, z: Tensor, y: Tensor) -> None:
        u, s, vt = torch.linalg.svd(z, full_matrices=False)
        found = []
        for penalty in torch.logspace(-3, 3, 25, dtype=torch.float64) * len(z) / 100:
            kept = s.square() / (s.square() + penalty)
            fitted, leverage = (u * kept) @ (u.T @ y), (u.square() * kept).sum(1)
            error = ((y - fitted) / (1 - leverage)).square().mean()
            found.append((error.item(), penalty))
        self.error, penalty = min(found, key=lambda pair: pair[0])
        self.inverse = (vt.T / (s.square() + penalty)) @ vt
        self.weights = self.inverse @ (z.T @ y)

    def standard(self, z: Tensor) -> tuple[Tensor, Tensor]:
        spread = ((z @ self.inverse) * z).sum(-1)
        return z @ self.weights, (self.error * spread).clamp(min=0).sqrt()


class GaussianProcess(Surrogate):
    """y ~ GP(0, a exp(-|z - z'|^2 / (2 l^2))) + noise, (a, l, noise) by the marginal likelihood; cost N^3.

    Reference: Rasmussen and Williams (2006), Gaussian Processes for Machine Learning.
    """

    def fit(self, z: Tensor, y: Tensor) -> None:
        self.z = z
        start = [0.0, math.log(math.sqrt(z.shape[1])), math.log(0.3)]
        self.log_parameters = torch.tensor(start, dtype=torch.float64, device=z.device, requires_grad=True)
        optimiser = torch.optim.Adam([self.log_parameters], lr=RATE)
        with torch.enable_grad():
            for _ in range(STEPS):
                optimiser.zero_grad()
                self._negative_evidence(y).backward()
                optimiser.step()
        self.log_parameters = self.log_parameters.detach()
        self.root = self._root()
        self.weights = torch.cholesky_solve(y[:, None], self.root)[:, 0]

    def standard(self, z: Tensor) -> tuple[Tensor, Tensor]:
        k = self._kernel(z.reshape(-1, z.shape[-1]), self.z)
        explained = torch.linalg.solve_triangular(self.root, k.T, upper=False).square().sum(0)
        sd = (self.log_parameters[0].exp() - explained).clamp(min=1e-12).sqrt()
        return (k @ self.weights).reshape(z.shape[:-1]), sd.reshape(z.shape[:-1])

    def _kernel(self, a: Tensor, b: Tensor) -> Tensor:
        squares = a.square().sum(-1)[:, None] + b.square().sum(-1) - 2 * a @ b.T
        return torch.exp(self.log_parameters[0] - 0.5 * squares.clamp(min=0) * torch.exp(-2 * self.log_parameters[1]))

    def _root(self) -> Tensor:
        noise = LEAST + self.log_parameters[2].exp()
        return torch.linalg.cholesky(self._kernel(self.z, self.z) + noise * torch.eye(len(self.z)).to(self.z))

    def _negative_evidence(self, y: Tensor) -> Tensor:
        root = self._root()
        half = torch.linalg.solve_triangular(root, y[:, None], upper=False)
        return 0.5 * half.square().sum() + root.diagonal().log().sum()


SURROGATES: dict[str, type[Surrogate]] = {"gp": GaussianProcess, "ridge": Ridge}


def quality(surrogate: Surrogate, z: Tensor, y: Tensor) -> tuple[float, float]:
    """Root mean squared error and Pearson correlation of predictions for held-out z and y."""
    predicted, y = surrogate.predict(z)[0], y.double()
    rmse = (predicted - y).square().mean().sqrt().item()
    return rmse, torch.corrcoef(torch.stack([predicted, y]))[0, 1].item()


def known(model: VAE, split: Split, points: int, seed: int) -> tuple[Tensor, Tensor]:
    """Posterior means and labels of up to ``points`` data of a split, drawn by ``seed``: ``(N, D)`` and ``(N,)``.

    Means are those of 16 draws where they are not known. Raises `InputError` for data without labels, and for
    fewer than two points.
    """
    if split.labels is None:
        raise InputError("expected labels to predict; got data without: choose data such as 'architectures'")
    if points < 2:
        raise InputError(f"expected at least 2 points to fit or to judge a prediction by; got {points}: raise points")
    chosen = torch.from_numpy(stream(seed).permutation(len(split))[:points]).to(split.values.device)
    part = replace(split, values=split.values[chosen], labels=split.labels[chosen])
    codes = encode(model, part, samples=DRAWS, seed=seed)
    means = [torch.from_numpy(codes[name]).flatten(1) for name in codes if name.startswith("mean")]
    return torch.cat(means, 1), split.labels[chosen].cpu()
