"""Surrogates against closed forms, and searches against what they should find."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from flowvae import build_model
from flowvae.data import Split
from flowvae.evaluation.regression import GaussianProcess, Ridge, known, quality
from flowvae.evaluation.sequences import edit_distance
from flowvae.evaluation.walk import ascend, log_improvement


def linear(count: int = 60, noise: float = 0.3) -> tuple[Tensor, Tensor]:
    z = torch.randn(count, 3, dtype=torch.float64) * torch.tensor([1.0, 5.0, 0.2])
    return z, 2 + z @ torch.tensor([1.0, -0.3, 4.0]).double() + noise * torch.randn(count, dtype=torch.float64)


def test_ridge_leaves_one_out_in_closed_form() -> None:
    """Its error is that of refitting without each datum in turn."""
    z, y = linear(25)
    ridge = Ridge(z, y)
    a, b = (z - ridge.shift) / ridge.scale, (y - ridge.mean) / ridge.sd
    penalty = torch.linalg.inv(ridge.inverse) - a.T @ a
    errors = []
    for i in range(len(a)):
        rest = torch.arange(len(a)) != i
        weights = torch.linalg.solve(a[rest].T @ a[rest] + penalty, a[rest].T @ b[rest])
        errors.append((a[i] @ weights - b[i]).square())
    assert ridge.error == pytest.approx(torch.stack(errors).mean().item(), rel=1e-8)


@pytest.mark.parametrize("kind", [Ridge, GaussianProcess])
def test_predictions_hold_out(kind: type[Ridge] | type[GaussianProcess]) -> None:
    z, y = linear(200)
    rmse, pearson = quality(kind(z[:120], y[:120]), z[120:], y[120:])
    assert rmse < 0.45
    assert pearson > 0.95


def test_known_codes_are_of_data_as_training_has_them() -> None:
    """Levels are spread by noise: the code of a datum is that of where it lies."""
    values = torch.full((6, 4), 4, dtype=torch.uint8)
    split = Split(values, scale=4.0, labels=torch.arange(6.0), cells=5)
    model = build_model({"encoder": {"name": "mlp", "depth": 0}, "likelihood": {"decoder": {"width": 4}}}, (4,))
    z, y = known(model, split, 6, seed=0)
    assert z.std(0).max() > 1e-3
    assert sorted(y.tolist()) == [0, 1, 2, 3, 4, 5]


def test_a_gaussian_process_is_the_conditional_of_its_joint_normal() -> None:
    z = torch.linspace(-3, 3, 30, dtype=torch.float64)[:, None]
    y = torch.sin(2 * z[:, 0])
    process = GaussianProcess(z, y)
    at = torch.tensor([[-1.1], [0.3], [2.2], [9.0]], dtype=torch.float64)
    mean, sd = process.predict(at)
    everything = (torch.cat([z, at]) - process.shift) / process.scale
    amplitude, length, noise = process.log_parameters.exp()
    joint = amplitude * torch.exp(-0.5 * (everything - everything.T).square() / length**2)
    known = joint[:30, :30] + (noise + 1e-4) * torch.eye(30)
    gain = torch.linalg.solve(known, joint[:30, 30:]).T
    spread = joint[30:, 30:] - gain @ joint[:30, 30:]
    assert_close(mean, process.mean + process.sd * gain @ ((y - process.mean) / process.sd), rtol=1e-6, atol=1e-8)
    assert_close(sd, process.sd * spread.diagonal().sqrt(), rtol=1e-4, atol=1e-8)
    assert_close(mean[:3], torch.sin(2 * at[:3, 0]), rtol=0, atol=0.02)
    assert sd[3] > 10 * sd[1]


def test_the_expected_improvement_is_an_integral() -> None:
    z, y = linear(40)
    surrogate = GaussianProcess(z, y)
    mean, sd = (value.item() for value in surrogate.predict(z[0]))
    eps = torch.linspace(-40, 40, 400_001, dtype=torch.float64)
    density = torch.exp(-0.5 * eps.square()) / math.sqrt(2 * math.pi)
    for far in (-5.0, 0.0, 1.0, 8.0):
        best = mean + far * sd
        expected = torch.trapezoid((mean + sd * eps - best).clamp(min=0) * density, eps).log()
        assert_close(log_improvement(surrogate, z[0], best), expected, rtol=1e-6, atol=1e-6)


def test_the_expected_improvement_is_known_however_far() -> None:
    """Far above the best it is mean - best, whatever sd; far below phi(u) / u^2; between them it does not jump."""
    surrogate = GaussianProcess(*linear(40))
    z = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    mean, sd = (value.detach() for value in surrogate.predict(z))

    def at(u: float) -> Tensor:
        return log_improvement(surrogate, z, (mean - u * sd).item())

    for u in (30.1, 1e4):
        assert_close(at(u), (u * sd).log(), rtol=1e-9, atol=1e-9)
        below = sd.log() - 0.5 * u**2 - 0.5 * math.log(2 * math.pi) - 2 * math.log(u)
        assert_close(at(-u), below, rtol=1e-4, atol=5e-3)
    for edge in (-1e3, 30.0):
        assert_close(at(edge - 1e-7), at(edge + 1e-7), rtol=1e-6, atol=1e-6)
    for u in (-1e4, -1.0, 1e4):
        (slope,) = torch.autograd.grad(at(u), z)
        assert slope.isfinite().all()
        assert slope.norm() > 0


@pytest.mark.parametrize("aim", ["mean", "improvement"])
def test_a_search_goes_uphill(aim: str) -> None:
    """To the top of a hill that no datum stands on, without leaving the known range."""
    z = 2 * torch.rand(80, 2, dtype=torch.float64) - 1
    z = z[z.norm(dim=1) > 0.5]
    y = -z.square().sum(1)
    surrogate = GaussianProcess(z, y)
    found = ascend(surrogate, z, aim=aim, best=y.max().item())
    assert found[0].norm() < 0.2
    assert surrogate.predict(found[:1])[0] > y.max()
    assert (found <= z.amax(0)).all()
    assert (found >= z.amin(0)).all()


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [
        ("", "", 0),
        ("abc", "abc", 0),
        ("abc", "", 3),
        ("abc", "abd", 1),
        ("abc", "ac", 1),
        ("intention", "execution", 5),
    ],
)
def test_edit_distance(first: str, second: str, distance: int) -> None:
    assert edit_distance(first, second) == edit_distance(second, first) == distance
