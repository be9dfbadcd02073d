"""Drawing with its density costs a forward pass: no objective, and no estimate of the evidence, inverts a flow."""

from collections.abc import Iterator

import pytest
import torch

from flowvae import registry
from flowvae.latents import Given
from flowvae.transforms import Composed, Inverse, Transform
from tests.laws.catalogue import model, models, part

FORWARD = [name for name in registry.names("flow") if name != "maf"]
"""All flows but the one that draws by inverting, as it says."""

FLOWED = [tables for tables in models() if part(tables, "posterior", "flow") in FORWARD]
flowed = pytest.mark.parametrize("tables", FLOWED, ids=lambda tables: part(tables, "posterior", "flow"))


def descendants(parent: type) -> Iterator[type]:
    for child in parent.__subclasses__():
        yield child
        yield from descendants(child)


@pytest.fixture
def inversions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the transforms that were inverted, as they are."""
    return spy(monkeypatch)


def spy(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []
    for transform in set(descendants(Transform)) - {Composed, Inverse}:
        for name in {"_inverse", "inverse_and_ladj"} & set(vars(transform)):
            original = getattr(transform, name)

            def watched(self: Transform, y: torch.Tensor, original=original) -> torch.Tensor:
                seen.append(type(self).__name__)
                return original(self, y)

            monkeypatch.setattr(transform, name, watched)
    return seen


@pytest.mark.parametrize("name", registry.names("objective"))
@flowed
def test_training_never_inverts(tables: dict, name: str, inversions: list[str]) -> None:
    vae, objective = model(tables), registry.build("objective", name)
    objective(vae(torch.ones(3, 4).double(), objective.samples)).backward()
    assert inversions == []


@pytest.mark.parametrize("name", registry.names("flow"))
def test_training_a_flow_prior_never_inverts(name: str, inversions: list[str]) -> None:
    """A prior scores the points that the posterior draws: it runs its flow from them to the noise."""
    tables = {"latents": {"dim": 2, "prior": {"name": "flow", "flow": name}}}
    model(tables)(torch.ones(3, 4).double()).log_w.sum().backward()
    assert inversions == []


@flowed
def test_generating_encoding_and_reconstructing_never_invert(tables: dict, inversions: list[str]) -> None:
    vae, x = model(tables), torch.ones(3, 4).double()
    for act in (lambda: vae.sample(3), lambda: vae.encode(x), lambda: vae.reconstruct(x)):
        act()
    assert inversions == []


@flowed
def test_scoring_given_latents_does(tables: dict, inversions: list[str]) -> None:
    """The spy sees what there is to see."""
    model(tables)(torch.ones(3, 4).double(), draw=Given([torch.ones(1, 3, 2).double()]))
    assert len(inversions) > 0
