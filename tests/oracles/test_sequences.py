"""Sequences against enumeration, loops by hand, and each other: teacher forcing, free running, beam search."""

from itertools import pairwise, product
from math import log

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from flowvae import InputError, registry
from flowvae.distributions import SequenceDistribution
from flowvae.distributions.features import (
    ContinuousBernoulliFeature,
    DiscreteFeature,
    FeatureDensity,
    NormalFeature,
    UnitFeature,
)
from flowvae.evaluation.sequences import decoding
from flowvae.schema import Feature, Schema, Type
from tests.laws.catalogue import STEPS, generic, steps

WORDS = Schema(3, [Type("a"), Type("b")])
LEVELS = Schema(2, [Type("a"), Type("b", Feature("discrete", levels=("0", "1", "2"))), Type("c")])
cells = pytest.mark.parametrize("cell", registry.names("recurrence"))
enumerable = pytest.mark.parametrize("schema", [WORDS, LEVELS], ids=["words", "levels"])


def likelihood(schema: Schema, cell: str = "lstm", seed: int = 0, **options: object) -> nn.Module:
    spec = {"name": "sequence", "embedding": 4, "decoder": {"name": cell, "width": 6, "layers": 2}, **options}
    torch.manual_seed(seed)
    return generic(registry.build("likelihood", spec, (3,), schema), seed=seed).eval()


def given(schema: Schema, cell: str = "lstm", *batch: int, seed: int = 0) -> SequenceDistribution:
    z = torch.randn(*batch, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return likelihood(schema, cell, seed)(z)


def every(schema: Schema) -> Tensor:
    """All sequences of a schema without numbers, ``(N, L, columns)``."""
    texts = [entry.name for entry in schema.types if entry.feature is None]
    texts += [f"{e.name}:{level}" for e in schema.types if e.feature is not None for level in e.feature.levels]
    found = [schema.parse(" ".join(line)) for n in range(schema.length + 1) for line in product(texts, repeat=n)]
    return torch.from_numpy(np.stack(found)).double()


def some(count: int = 40, seed: int = 3) -> Tensor:
    """Sequences of STEPS, which has a feature of each kind."""
    generator = torch.Generator().manual_seed(seed)
    return steps(torch.randn(count, *STEPS, generator=generator, dtype=torch.float64))


def behind(x: Tensor) -> Tensor:
    """The places behind the end."""
    is_end = x[..., 0] == 0
    return is_end.cumsum(-1) > is_end.long()


@cells
@enumerable
def test_probabilities_of_all_sequences_sum_to_one(cell: str, schema: Schema) -> None:
    p = given(schema, cell, 4)
    total = p.log_prob(every(schema)[:, None]).exp().sum(0)
    assert_close(total, torch.ones_like(total), rtol=1e-12, atol=0)


def test_it_is_the_cross_entropy_of_a_loop_by_hand() -> None:
    """A loop over torch's own cell, with the same weights: logits, one softmax, the end counted, nothing behind it."""
    model = likelihood(WORDS, decoder={"name": "lstm", "width": 6})
    cell = nn.LSTMCell(4, 6).double()
    cell.load_state_dict({name.removesuffix("_l0"): weight for name, weight in model.decoder.net.state_dict().items()})
    z = torch.randn(3, dtype=torch.float64)
    start = model.decoder.begin(z)
    for x in every(WORDS):
        shown, h, c = start[:4], start[4:10], start[10:]
        total = torch.zeros((), dtype=torch.float64)
        for token in x[:, 0].long():
            h, c = cell(shown, (h, c))
            total = total - cross_entropy(model.head(h), token)
            if token == 0:
                break
            shown = model.embedding.types.weight[token]
        assert_close(model(z).log_prob(x), total, rtol=1e-12, atol=1e-12)


@cells
def test_what_stands_behind_the_end_changes_nothing(cell: str) -> None:
    model, x = likelihood(STEPS, cell), some()
    z = torch.randn(len(x), 3, dtype=torch.float64, requires_grad=True)
    other = x.clone()
    other[behind(x)] = torch.tensor([2.0, -7.0], dtype=torch.float64)
    assert not torch.equal(x, other)
    slopes = []
    for values in (x, other):
        log_p = model(z).log_prob(values)
        slopes.append((log_p, *torch.autograd.grad(log_p.sum(), (z, model.head.weight))))
    assert_close(slopes[0], slopes[1], rtol=0, atol=0)


@pytest.mark.parametrize("spec", [{"name": "rnn", "cell": "gru"}, {"name": "rnn", "cell": "lstm"}, "transformer"])
def test_an_encoder_reads_nothing_behind_the_end(spec: registry.Spec) -> None:
    encoder, x = generic(registry.build("encoder", spec, STEPS)).eval(), some()
    other = x.clone()
    other[behind(x)] = torch.tensor([3.0, 0.9], dtype=torch.float64)
    assert not torch.equal(x, other)
    assert_close(encoder(other), encoder(x), rtol=1e-12, atol=1e-12)
    one, two = encoder(x.new_tensor([[[1, 0], [0, 0], [0, 0]], [[1, 0], [1, 0], [0, 0]]]))
    assert not torch.allclose(one, two)


@cells
def test_more_room_for_padding_changes_nothing(cell: str) -> None:
    """Sequences that end within three places, in a datum of three and in one of seven."""
    short, long = likelihood(WORDS, cell), likelihood(Schema(7, WORDS.types), cell)
    x = every(WORDS)
    x = x[x[:, -1, 0] == 0]
    z = torch.randn(len(x), 3, dtype=torch.float64)
    padded = torch.nn.functional.pad(x, (0, 0, 0, 4))
    assert_close(long(z).log_prob(padded), short(z).log_prob(x), rtol=1e-12, atol=1e-12)


@cells
def test_running_free_on_given_steps_is_teacher_forcing(cell: str) -> None:
    model, x = likelihood(STEPS, cell), some()
    z = torch.randn(len(x), 3, dtype=torch.float64)
    phi, state = model.start(z)
    found = [phi]
    for place in range(STEPS.length - 1):
        phi, state = model.advance(x[:, place], state)
        found.append(phi)
    assert_close(torch.stack(found, 1), model.teach(z, x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("way", ["greedy", "beam:2"])
def test_sequences_of_several_draws_are_not_one(way: str) -> None:
    assert decoding(way)(given(WORDS, "gru", 1, 4)).shape == (4, *WORDS)
    with pytest.raises(InputError, match=r"^expected one draw a datum, since sequences have no mean; got 2"):
        decoding(way)(given(WORDS, "gru", 2, 4))


@cells
def test_decoding_with_a_state_is_rerunning_the_prefix(cell: str) -> None:
    model = likelihood(STEPS, cell)
    z = torch.randn(20, 3, dtype=torch.float64)
    x = torch.zeros(20, *STEPS, dtype=torch.float64)
    for place in range(STEPS.length):
        step = model.step.draw(model.teach(z, x)[:, place], 0.0)
        over = (x[:, :place, 0] == 0).any(1)
        x[:, place] = torch.where(over[:, None], 0.0, step)
    assert_close(model(z).mode, x, rtol=1e-12, atol=1e-12)


@enumerable
def test_draws_have_their_probabilities(schema: Schema) -> None:
    p, all_of_them, n = given(schema), every(schema), 20_000
    drawn = p.sample((n,))
    counts = torch.stack([(drawn == x).flatten(1).all(1).sum() for x in all_of_them])
    expected = p.log_prob(all_of_them).exp()
    assert counts.sum() == n
    assert ((counts / n - expected).abs() < 4.5 * (expected * (1 - expected) / n).sqrt()).all()


def test_a_temperature_sharpens() -> None:
    p = given(WORDS)
    best = p.log_prob(p.mode)
    cold, warm = p.decode((2000,), 0.2), p.decode((2000,), 2.0)
    shares = [(x == p.mode).flatten(1).all(1).double().mean() for x in (cold, p.sample((2000,)), warm)]
    assert shares[0] > shares[1] > shares[2]
    assert abs(shares[1] - best.exp()) < 0.05


@cells
@enumerable
def test_a_full_beam_finds_all_sequences_in_order(cell: str, schema: Schema) -> None:
    p, all_of_them = given(schema, cell, 2), every(schema)
    exact = p.log_prob(all_of_them[:, None])
    order = exact.argsort(0, descending=True)
    found, log_p = p.beam(len(all_of_them) + 3)
    for datum in range(2):
        assert_close(found[: len(all_of_them), datum], all_of_them[order[:, datum]])
        assert_close(log_p[: len(all_of_them), datum], exact[order[:, datum], datum], rtol=1e-10, atol=1e-12)
    assert (log_p[len(all_of_them) :] == -torch.inf).all()


def test_a_beam_of_one_is_greedy() -> None:
    p = given(WORDS, "lstm", 50)
    found, log_p = p.beam(1)
    assert_close(found[0], p.mode)
    assert_close(log_p[0], p.log_prob(p.mode), rtol=1e-10, atol=1e-12)


def test_in_half_precision_every_type_has_its_number() -> None:
    """bfloat16 knows no odd number above 256."""
    schema = Schema(2, [Type(f"t{number}") for number in range(1000)])
    spec = {"name": "sequence", "decoder": {"name": "gru", "width": 4}}
    p = registry.build("likelihood", spec, (3,), schema).eval()
    with torch.autocast("cpu", torch.bfloat16):
        q = p(torch.randn(500, 3))
        drawn, found = q.sample()[..., 0], q.beam(2)[0][..., 0]
    assert drawn.dtype == found.dtype == torch.float32
    assert ((drawn > 512) & (drawn % 2 == 1)).any()


def test_a_wider_beam_finds_no_worse() -> None:
    p = given(LEVELS, "gru", 50)
    scores = [p.beam(width)[1][0] for width in (1, 2, 4, 31)]
    assert all((later >= earlier - 1e-12).double().mean() > 0.9 for earlier, later in pairwise(scores))
    assert_close(scores[-1], p.log_prob(every(LEVELS)[:, None]).amax(0), rtol=1e-10, atol=1e-12)


def test_hidden_steps_are_hidden_in_training_alone() -> None:
    model, x = likelihood(WORDS, word_dropout=1.0), every(WORDS)
    z = torch.randn(3, dtype=torch.float64).expand(len(x), 3)
    assert not torch.allclose(model.teach(z, x)[0], model.teach(z, x)[-1])
    phi = model.train().teach(z, x)
    assert_close(phi, phi[:1].expand(phi.shape), rtol=1e-12, atol=1e-12)


def test_scheduled_sampling_shows_own_draws_in_training_alone() -> None:
    model, x = likelihood(STEPS, scheduled=1.0), some()
    z = torch.randn(3, dtype=torch.float64).expand(len(x), 3)
    exact = model(z).log_prob(x)
    model.train()
    torch.manual_seed(1)
    phi = model.teach(z, x)
    torch.manual_seed(1)
    own = model.step.draw(model.eval().teach(z, x), 1.0)
    assert_close(phi[:, 1:], model.teach(z, own)[:, 1:], rtol=1e-12, atol=1e-12)
    assert_close(model(z).log_prob(x), exact, rtol=0, atol=0)


@pytest.mark.parametrize("scale", [0.3, 1.0, 30.0])
def test_features_have_densities(scale: float) -> None:
    """Each sums or integrates to 1 over its values, whatever its parameters."""
    phi = scale * torch.randn(50, 1, 2, dtype=torch.float64)
    unit = torch.linspace(0, 1, 20_001, dtype=torch.float64)
    total = torch.trapezoid(UnitFeature().log_prob(phi, unit).exp(), unit)
    assert_close(total, torch.ones_like(total), rtol=1e-5, atol=0)
    line = torch.linspace(-1, 1, 20_001, dtype=torch.float64) * 12
    spread = 0.01 + torch.nn.functional.softplus(phi[..., 1])
    x = phi[..., 0] + spread * line
    total = torch.trapezoid(NormalFeature().log_prob(phi, x).exp(), x)
    assert_close(total, torch.ones_like(total), rtol=1e-6, atol=0)
    total = torch.trapezoid(ContinuousBernoulliFeature().log_prob(phi[..., :1], unit).exp(), unit)
    assert_close(total, torch.ones_like(total), rtol=1e-5, atol=0)
    levels = DiscreteFeature(5)
    total = (
        levels.log_prob(scale * torch.randn(50, 1, 5).double().expand(-1, 5, -1), torch.arange(5.0).expand(50, 5))
        .exp()
        .sum(-1)
    )
    assert_close(total, torch.ones_like(total), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "density",
    [NormalFeature(), UnitFeature(), ContinuousBernoulliFeature()],
    ids=lambda density: type(density).__name__,
)
def test_draws_of_features_have_their_density(density: FeatureDensity) -> None:
    """The average of log p over draws is minus the entropy, by quadrature; at temperature 0 all are the mode."""
    phi = torch.tensor([0.4, -0.5], dtype=torch.float64)[: density.size]
    low, high = (-12.0, 12.0) if isinstance(density, NormalFeature) else (0.0, 1.0)
    x = torch.linspace(low, high, 40_001, dtype=torch.float64)
    p = density.log_prob(phi, x).exp()
    drawn = density.draw(phi.expand(40_000, -1), 1.0)
    for power in (1, 2, 3):
        moment, square = (torch.trapezoid(x**n * p, x) for n in (power, 2 * power))
        assert abs((drawn**power).mean() - moment) < 4.5 * ((square - moment**2) / 40_000).sqrt()
    assert_close(density.draw(phi, 0.0), x[p.argmax()], rtol=0, atol=1e-3)


def test_densities_of_features_given_the_type() -> None:
    """One step of each type, by torch's own distributions."""
    model = likelihood(STEPS)
    phi = torch.randn(model.step.size, dtype=torch.float64)
    shares = torch.log_softmax(phi[:6], -1)
    normal, unit, levels, slope = (phi[group.where] for group in model.step.groups)
    expected = {
        (1.0, 0.0): shares[1],
        (2.0, 0.7): shares[2] + torch.distributions.Normal(normal[0], 0.01 + log(1 + normal[1].exp())).log_prob(
            torch.tensor(0.7).double()
        ),
        (4.0, 2.0): shares[4] + torch.log_softmax(levels, -1)[2],
        (3.0, 0.25): shares[3] + UnitFeature().log_prob(unit, torch.tensor(0.25).double()),
        (5.0, 0.25): shares[5] + torch.distributions.ContinuousBernoulli(logits=slope[0]).log_prob(
            torch.tensor(0.25).double()
        ),
    }  # fmt: skip
    for step, log_p in expected.items():
        assert_close(model.step.log_prob(phi, torch.tensor(step).double()), log_p, rtol=1e-6, atol=0)
