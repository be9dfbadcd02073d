"""The density of one step of a sequence: its type, and the feature given the type."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from flowvae.distributions.features import DiscreteFeature, FeatureDensity, categorical, density_of
from flowvae.precision import in_full_precision
from flowvae.schema import END, Schema


class Group(NamedTuple):
    """Types whose features have densities of one form, each with parameters of its own."""

    density: FeatureDensity
    types: list[int]
    where: slice
    """Their parameters among a network's outputs."""


class StepDensity(nn.Module):
    """p(type, feature | phi) = softmax(logits)_type p(feature | phi_type), phi ``(*, size)``; no parameters of its own.

    phi holds the logits of the end and of every type, and then the parameters of each type's feature.
    """

    place: Tensor
    """``(groups, 1 + types)``: the place of a type in a group, or -1."""

    def __init__(self, schema: Schema):
        super().__init__()
        self.types, self.columns = 1 + len(schema.types), schema[1]
        by_form: dict[tuple[type, int], list[int]] = {}
        for number, feature in schema.features.items():
            density = density_of(feature)
            by_form.setdefault((type(density), density.size), []).append(number)
        self.groups: list[Group] = []
        self.size = self.types
        place = torch.full((len(by_form), self.types), -1)
        for row, numbers in zip(place, by_form.values(), strict=True):
            density = density_of(schema.features[numbers[0]])
            row[numbers] = torch.arange(len(numbers))
            where = slice(self.size, self.size + len(numbers) * density.size)
            self.groups.append(Group(density, numbers, where))
            self.size = where.stop
        self.register_buffer("place", place, persistent=False)

    def log_prob(self, phi: Tensor, values: Tensor) -> Tensor:
        """log p of each step of ``values`` ``(*, columns)``, phi ``(*, size)`` to ``(*)``, in nats."""
        phi, types = in_full_precision(phi), values[..., 0].long()
        log_p = log_softmax(self._logits(phi), -1).gather(-1, types[..., None])[..., 0]
        for group, place in zip(self.groups, self.place, strict=True):
            own, inside = self._of_type(phi, types, group, place)
            x = torch.where(inside, values[..., 1], 0.0)
            log_p = log_p + torch.where(inside, group.density.log_prob(own, x), 0.0)
        return log_p

    def draw(self, phi: Tensor, temperature: float) -> Tensor:
        """A step, its spread scaled by ``temperature``, ``(*, columns)``; at 0 the likeliest type and its mode."""
        phi = in_full_precision(phi)
        return self.complete(phi, categorical(self._logits(phi), temperature), temperature)

    def complete(self, phi: Tensor, types: Tensor, temperature: float) -> Tensor:
        """Steps of the given ``types`` ``(*)``, with features drawn for them, ``(*, columns)``."""
        feature = torch.zeros_like(phi[..., 0])
        for group, place in zip(self.groups, self.place, strict=True):
            own, inside = self._of_type(phi, types, group, place)
            feature = torch.where(inside, group.density.draw(own, temperature), feature)
        return torch.stack([types.to(phi.dtype), feature][: self.columns], -1)

    def choices(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        """Every step that can be told from others, ``(*, C, columns)``, the end first, and its log p, ``(*, C)``.

        A choice is a type, with every level of a discrete feature; any other feature is at its mode, and its density
        does not count: it would weigh numbers against choices.
        """
        phi = in_full_precision(phi)
        log_type = log_softmax(self._logits(phi), -1)
        discrete = {
            number: group
            for group in self.groups
            if isinstance(group.density, DiscreteFeature)
            for number in group.types
        }
        plain = [number for number in range(self.types) if number not in discrete]
        types = torch.tensor(plain, device=phi.device).expand(*phi.shape[:-1], -1)
        spread = phi[..., None, :].expand(*types.shape, -1)
        steps, log_p = [self.complete(spread, types, 0.0)], [log_type[..., plain]]
        for number, group in discrete.items():
            block = phi[..., group.where].unflatten(-1, (len(group.types), -1))[..., group.types.index(number), :]
            levels = torch.arange(group.density.size, device=phi.device, dtype=phi.dtype)
            step = torch.stack([torch.full_like(levels, number), levels], -1)
            steps.append(step.expand(*phi.shape[:-1], -1, -1))
            log_p.append(log_type[..., number, None] + log_softmax(block, -1))
        return torch.cat(steps, -2), torch.cat(log_p, -1)

    def _logits(self, phi: Tensor) -> Tensor:
        return phi[..., : self.types]

    def _of_type(self, phi: Tensor, types: Tensor, group: Group, place: Tensor) -> tuple[Tensor, Tensor]:
        """The parameters ``(*, size)`` that each step's type has in the group, and whether it is of the group."""
        own = place[types]
        block = phi[..., group.where].unflatten(-1, (len(group.types), -1))
        return torch.take_along_dim(block, own.clamp(min=0)[..., None, None], -2)[..., 0, :], own >= 0


def ended(steps: Tensor) -> Tensor:
    """Which steps ``(*, columns)`` are the end, ``(*)``."""
    return steps[..., 0] == END
