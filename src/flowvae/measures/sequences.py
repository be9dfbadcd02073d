"""How well sequences are reconstructed, and what is drawn from the prior."""

from math import sqrt

import torch
from torch import Tensor

from flowvae.data import Data, Split
from flowvae.distributions import SequenceDistribution
from flowvae.distributions.step import ended
from flowvae.evaluation.generate import sample, walks
from flowvae.measures.base import Measured, finds
from flowvae.model import VAE
from flowvae.registry import Count, Seed, register
from flowvae.schema import Schema


@register("measure", "sequences")
@finds("match_taught", "match", "feature_error", "validity", "uniqueness", "novelty")
def sequences(model: VAE, data: Data, held_out: Split, *, number: Count = 10_000, seed: Seed = 0) -> Measured:
    """Exact matches of held-out sequences, in per cent of them, and what ``number`` draws x ~ p(x | z), z ~ p(z), are.

    From one posterior draw a datum: ``match_taught``, where the likeliest step given the true ones before it is the
    true one in every place; ``match``, where greedy decoding, which runs free, gives the datum back. ``feature_error``:
    root mean square of the features that are numbers, on the normalised scale, in places decoded with the right type.
    Of the draws, in per cent: ``validity`` by the rules of the data, where they have some; ``uniqueness``, the distinct
    among the valid; ``novelty``, the valid ones that are no datum of training or validation. Two sequences are the same
    when their types and discrete features are.
    """
    schema = Schema.of(data.event_shape)
    taught = free = count = 0
    errors: list[Tensor] = []
    for _, x, c, _ in walks(model, held_out, 1, seed):
        p = model.likelihood(c)
        assert isinstance(p, SequenceDistribution)
        decoded = p.mode[0]
        taught += _same(schema, _ended(x, p.taught(x)[0]), x)
        free += _same(schema, decoded, x)
        count += len(x)
        errors.append(_errors(schema, decoded, x))
    found = {"match_taught": 100 * taught / count, "match": 100 * free / count}
    if len(every := torch.cat(errors)):
        found["feature_error"] = sqrt(every.square().mean().item())
    drawn = sample(model, number, seed=seed, mean=False)
    valid = [x for x in drawn if data.valid is None or data.valid(schema.steps(x))]
    keys = [schema.key(x) for x in valid]
    known = {schema.key(x) for split in (data.train, data.validation) for x in split.values.numpy(force=True)}
    if data.valid is not None:
        found["validity"] = 100 * len(valid) / number
    if keys:
        found |= {
            "uniqueness": 100 * len(set(keys)) / len(keys),
            "novelty": 100 * sum(key not in known for key in keys) / len(keys),
        }
    return Measured(found)


def _ended(x: Tensor, steps: Tensor) -> Tensor:
    """The steps as far as x goes: what is predicted behind its end counts as nothing."""
    is_end = ended(x)
    return torch.where((is_end.cumsum(-1) > is_end.long())[..., None], 0.0, steps)


def _same(schema: Schema, decoded: Tensor, x: Tensor) -> int:
    pairs = zip(decoded.numpy(force=True), x.numpy(force=True), strict=True)
    return sum(schema.key(one) == schema.key(other) for one, other in pairs)


def _errors(schema: Schema, decoded: Tensor, x: Tensor) -> Tensor:
    """Errors of the features that are numbers, where the type is right."""
    numeric = [number for number, feature in schema.features.items() if feature.kind != "discrete"]
    if not numeric:
        return x.new_zeros(0)
    right = (decoded[..., 0] == x[..., 0]) & torch.isin(x[..., 0], x.new_tensor(numeric))
    return (decoded[..., 1] - x[..., 1])[right]
