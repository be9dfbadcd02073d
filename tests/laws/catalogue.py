"""Every registered component in every choice of its options, wired as its parent would: what the laws loop over."""

import math
from ast import literal_eval
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import pad

from flowvae import InputError, build_model, registry
from flowvae.conditional import Augmented
from flowvae.distributions import FlowDistribution, Sampled, rsample_and_log_prob, sample_and_log_prob, standard_normal
from flowvae.distributions.base import known
from flowvae.engine.compiling import traceable
from flowvae.flows import Flow
from flowvae.latents import FromPosterior
from flowvae.schema import Feature, Schema, Type

SMALL = {
    "intervals": 4,
    "width": 12,
    "context": 3,
    "dim": 2,
    "steps": 2,
    "bins": 4,
    "nodes": 3,
    "levels": 3,
    "components": 2,
    "channels": 2,
    "features": 6,
}
"""Sizes in the laws, which hold at any size."""

VARIETIES = ("form", "mixing", "update")
"""Options that make another component of one of the same name."""

FEATURES = 5
DIMS = (1, 2, 16)
EVENTS = ((3,), (1, 2, 2))
IMAGE = (2, 4, 4)
MAPS = (2, 2, 2)
STEPS = Schema(
    3,
    [
        Type("plain"), Type("size", Feature("normal")), Type("share", Feature("unit")),
        Type("level", Feature("discrete", levels=("a", "b", "c"))), Type("slope", Feature("continuous-bernoulli")),
    ],
)  # fmt: skip
"""Sequences of every kind of feature."""


def structures(kind: str, within: bool = False) -> Iterator[dict[str, Any]]:
    """Every component of ``kind`` at its defaults, then with each of its slots filled in every way in turn.

    The slots of the latents after the first, and those of a component around another of its kind, are filled with every
    component at its defaults: what fits into those has been varied elsewhere. ``within`` such a component there is no
    second one.
    """
    for number, name in enumerate(registry.names(kind)):
        options = registry.options(kind, name)
        around = any(o.kind == kind for o in options)
        if around and within:
            continue
        base = {"name": name} | {o.name: SMALL[o.name] for o in options if o.name in SMALL and o.kind is None}
        slots = {o.name: list(structures(o.kind, within=o.kind == kind)) for o in options if o.kind is not None}
        base |= {o.name: _plainest(slots[o.name], o.default) for o in options if o.kind is not None}
        if around or (kind == "latents" and number > 0):
            slots = {slot: list({f["name"]: f for f in fillings[::-1]}.values()) for slot, fillings in slots.items()}
        yield base
        for slot, fillings in slots.items():
            yield from (base | {slot: filling} for filling in fillings if filling != base[slot])


def _plainest(fillings: list[dict[str, Any]], default: Any) -> dict[str, Any] | None:
    """What an empty slot stands for, small."""
    return None if default is None else next(filling for filling in fillings if filling["name"] == default)


def specs(kind: str) -> list[dict[str, Any]]:
    """All structures of ``kind``, and every choice, switch and smallest count in turn."""
    found = list(structures(kind))
    for spec in list({spec["name"]: spec for spec in found}.values()):
        for option in registry.options(kind, spec["name"]):
            found += [spec | {option.name: value} for value in _choices(option) if value != option.default]
    return found


def _choices(option: registry.Option) -> list[Any]:
    if option.type == "bool":
        return [True, False]
    if option.type.startswith("'"):
        return [literal_eval(choice) for choice in option.type.split(" | ")]
    if option.type.startswith("int >= ") and option.name != "width":  # one unit would leave much of a net unused
        return [int(option.type.removeprefix("int >= ").split()[0])]
    return []


@dataclass(frozen=True)
class Rig:
    """A component and how to run it: ``run(*inputs)`` maps inputs ``(*batch, *event)`` to outputs with that batch.

    ``shared`` tells the input that has batch (B,) where the others have (S, B). A component that makes a density has
    ``q``, from all inputs but the last, which is then its noise, or for a prior the point that it scores.
    """

    component: Any
    events: tuple[tuple[int, ...], ...]
    run: Callable[..., tuple[Tensor, ...]]
    shared: int | None = None
    q: Callable[..., Distribution] | None = None

    def inputs(self, *batch: int, seed: int = 1) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        return tuple(torch.randn(*batch, *event, generator=generator, dtype=torch.float64) for event in self.events)


@dataclass(frozen=True)
class Case:
    """A component to be built: its kind, its specification and its shapes."""

    kind: str
    spec: dict[str, Any]
    shapes: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.kind} {_sentence(self.spec)} {self.shapes}"

    def build(self) -> Any:
        component = registry.build(self.kind, self.spec, *self.shapes)
        if hasattr(component, "bind"):  # a prior that wants the posterior of its group
            family = registry.build("family", "diagonal", self.shapes[0])
            component.bind(lambda h, p: family(h), family.size)
        if hasattr(component, "read_with"):  # and its encoder
            component.read_with(lambda x: pad(x, (0, family.size - 1)), (1,))
        return component

    def rig(self, component: Any = None) -> Rig:
        """``component``, or a new one in float64, moved off its start, where symmetry could hide a fault."""
        return WIRING[self.kind](self, component or generic(self.build()))


def slack(case: Case) -> float:
    """How far the flows of a case may be from exact, beyond rounding, as they say themselves."""
    component = case.build()
    modules = component.modules() if isinstance(component, nn.Module) else ()
    return max((module.accuracy for module in modules if isinstance(module, Flow)), default=0.0)


def adaptive(case: Case) -> bool:
    """Whether the component looks at its data to decide what to do: it says that it does not compile."""
    component = case.build()
    return isinstance(component, nn.Module) and not traceable(component)


def generic(component: Any, seed: int = 0, size: float = 1.0) -> Any:
    """The module in float64, ``size`` times its parameters shifted by seeded noise; anything else as it is.

    It is in evaluation mode, in which a batch is treated as its members are and a walk draws what it is told to.
    """
    if isinstance(component, nn.Module):
        generator = torch.Generator().manual_seed(seed)
        component.double().eval()
        with torch.no_grad():
            for parameter in component.parameters():
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.add_(0.2 * noise).mul_(size)
    return component


def _sentence(spec: dict[str, Any]) -> str:
    """A specification in one line, without what is only small."""
    words = [str(spec["name"])]
    for key, value in spec.items():
        if isinstance(value, dict):
            words.append(f"{key}=({_sentence(value)})")
        elif key != "name" and value is not None and value != SMALL.get(key):
            words.append(f"{key}={value}")
    return " ".join(words)


def drawn(q: Distribution, eps: Tensor) -> tuple[Tensor, Tensor]:
    """z and log q(z) of the noise eps, the distribution expanded to its batch; of its own noise where it has that."""
    q = q.expand(eps.shape[: eps.ndim - len(q.event_shape)])
    return sample_and_log_prob(q) if isinstance(q, Sampled) else rsample_and_log_prob(q, lambda shape: eps)


def _density(component: Any, events: tuple[tuple[int, ...], ...], q: Callable[..., Distribution]) -> Rig:
    return Rig(component, events, lambda *inputs: drawn(q(*inputs[:-1]), inputs[-1]), shared=0, q=q)


def _flow(case: Case, flow: Any) -> Rig:
    event, context = case.shapes
    event = (math.prod(event),)

    def q(h: Tensor | None = None) -> Distribution:
        batch = () if h is None else h.shape[:-1]
        like = next(chain(flow.parameters(), flow.buffers()))  # a permutation has no parameters
        dtype = like.dtype if like.is_floating_point() else torch.float64
        return FlowDistribution(standard_normal(like.new_zeros(*batch, *event, dtype=dtype)), flow(h))

    return _density(flow, ((context,), event) if context else (event,), q)


def _family(case: Case, family: Any) -> Rig:
    return _density(family, ((family.size,), case.shapes[0]), family)


def _prior(case: Case, prior: Any) -> Rig:
    event, context = case.shapes
    return Rig(prior, ((context,), event), lambda c, z: (prior(c).log_prob(z),), shared=0, q=prior)


def _posterior(case: Case, posterior: Any) -> Rig:
    features, event = case.shapes
    return _density(posterior, ((features,), event), lambda h: posterior(h, standard_normal(h.new_zeros(event))))


def _likelihood(case: Case, likelihood: Any) -> Rig:
    if isinstance(likelihood, Augmented):

        def bound(c: Tensor, x: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
            draw, levels = FromPosterior(lambda n, shape: eps), x.sigmoid()
            noise = draw(0, *likelihood.noise(levels, eps.shape[:-1]))
            return likelihood.log_prob(c, levels, noise.z), noise.kl

        return Rig(likelihood, (*case.shapes, (math.prod(case.shapes[1]),)), bound, shared=1)

    def run(c: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        p = likelihood(c)
        if "sequence" in likelihood.accepts:
            return (p.log_prob(steps(x)),)
        return (p.log_prob(x.sigmoid()), *([] if known(p, "mean") is None else [p.mean]))

    return Rig(likelihood, case.shapes, run, shared=1)


def _encoder(case: Case, encoder: Any) -> Rig:
    (event,) = case.shapes
    return Rig(encoder, case.shapes, lambda x: (encoder(steps(x) if isinstance(event, Schema) else x),))


def steps(x: Tensor) -> Tensor:
    """Numbers ``(*, 3, 2)`` as sequences of STEPS."""
    share = x.sigmoid()
    types = (share[..., 0] * (1 + len(STEPS.types))).floor().clamp(max=len(STEPS.types))
    level = (3 * share[..., 1]).floor().clamp(max=2)
    features = [torch.zeros_like(types), types, x[..., 1], share[..., 1], level, share[..., 1]]
    return torch.stack([types, torch.stack(features).take_along_dim(types.long()[None], 0)[0]], -1)


def _recurrence(case: Case, recurrence: Any) -> Rig:
    """Three steps from z and inputs: outputs, and what it remembers."""
    in_shape, inputs = case.shapes

    def run(z: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        batch = z.shape[:-1]
        first, state = recurrence.start(z.reshape(-1, *in_shape))
        h, last = recurrence(torch.cat([first[:, None], x.reshape(-1, 2, inputs)], 1), state)
        return h.reshape(*batch, *h.shape[1:]), torch.cat(last, -1).transpose(0, 1).reshape(*batch, -1)

    return Rig(recurrence, (in_shape, (2, inputs)), run)


def _decoder(case: Case, decoder: Any) -> Rig:
    return Rig(decoder, case.shapes[:1], lambda z: (decoder(z),))


def _latents(case: Case, latents: Any) -> Rig:
    (features,) = case.shapes
    groups = noise_of(latents, next(latents.parameters()).new_zeros(1, features))

    def run(h: Tensor, *eps: Tensor) -> tuple[Tensor, ...]:
        batch = eps[0].shape[: eps[0].ndim - len(groups[0])]
        c, found = latents.walk(FromPosterior(lambda n, shape: eps[n]), h, batch)
        return c, *(term for latent in found for term in (latent.z, latent.log_q, latent.log_p))

    return Rig(latents, ((features,), *groups), run, shared=0)


def noise_of(latents: Any, h: Tensor) -> list[tuple[int, ...]]:
    """The event of the noise that a walk asks for, a group each."""
    asked: list[tuple[int, ...]] = []

    def record(n: int, shape: torch.Size) -> Tensor:
        asked.append(tuple(shape[h.ndim :]))
        return h.new_zeros(shape)

    latents.walk(FromPosterior(record), h, torch.Size((1, *h.shape[:-1])))
    return asked


WIRING: dict[str, Callable[[Case, Any], Rig]] = {
    "flow": _flow,
    "family": _family,
    "prior": _prior,
    "posterior": _posterior,
    "likelihood": _likelihood,
    "encoder": _encoder,
    "decoder": _decoder,
    "recurrence": _recurrence,
    "latents": _latents,
}

SHAPES: dict[str, list[tuple[Any, ...]]] = {
    "flow": [*(((dim,), context) for dim in DIMS for context in (0, 3)), (MAPS, 0), (MAPS, 12)],
    "family": [((dim,),) for dim in DIMS],
    "prior": [((dim,), context) for dim in DIMS for context in (0, 3)],
    "posterior": [(FEATURES, (dim,)) for dim in DIMS],
    "likelihood": [((3,), event) for event in (STEPS, *EVENTS)],
    "encoder": [(event,) for event in (*EVENTS, IMAGE, STEPS)],
    "decoder": [((3,), event) for event in (*EVENTS, IMAGE)],
    "recurrence": [((3,), 2)],
    "latents": [(FEATURES,)],
}
"""The shapes that a parent could wire a component of each kind to."""


def cases(kind: str) -> list[Case]:
    """Every component of ``kind`` in every shape of SHAPES that it accepts (`InputError` says that it does not).

    In every variety it is wired to all of them; with a slot or another option changed, to every third from the last.
    """
    found: list[Case] = []
    seen: set[tuple[Any, ...]] = set()
    for spec in specs(kind):
        accepted = [case for shapes in SHAPES[kind] if _accepts(case := Case(kind, spec, shapes))]
        found += accepted[::-3] if variety(spec) in seen else accepted
        seen.add(variety(spec))
    return found


def variety(spec: dict[str, Any]) -> tuple[Any, ...]:
    """What tells a component from others of its kind: its name, and the options that make it another."""
    return (spec["name"], *(spec.get(option) for option in VARIETIES))


def _dim(case: Case) -> int | None:
    """The dimension of a density."""
    event = {"flow": 0, "family": 0, "prior": 0, "posterior": 1}.get(case.kind)
    return case.spec.get("dim") if event is None else math.prod(case.shapes[event])


def _accepts(case: Case) -> bool:
    try:
        component = case.build()
        if case.kind == "latents":
            noise_of(component, torch.zeros(1, *case.shapes))
    except InputError:
        return False
    return True


COMPONENTS = [case for kind in WIRING for case in cases(kind) if case.spec["name"] != "none"]
"""All but those that stand for the absence of an encoder or of latents, and compute nothing."""
MODULES = [case for case in COMPONENTS if case.kind != "family"]
DENSITIES = [case for case in COMPONENTS if case.kind in ("flow", "family", "prior", "posterior")]
DRAWN = [case for case in DENSITIES if case.kind != "prior"]
"""The densities that training draws from, where priors are only scored: pushforwards of noise, with gradients."""
PLANE = [case for case in DENSITIES if _dim(case) in (1, 2)]
HARD = ("score", "straight_through")
SEEING = [
    case
    for case in MODULES
    if _dim(case) != 1
    and case.spec.get("gates", {}).get("name") not in HARD
    and not (case.kind == "likelihood" and (case.spec.get("flow") or {}).get("name") == "householder")
]
"""All modules but those over one dimension, where masks may cut what would look for more, and those that draw whole
graphs: of one walk, a gradient reaches the edges that stand.
And but for a rotated standard normal, which is the same normal."""


def models() -> list[dict[str, Any]]:
    """Every latent structure with everything that fits into it, as tables of a small model of binary vectors."""
    encoder = {"name": "mlp", "width": 12, "depth": 1}
    likelihood = {"name": "bernoulli", "decoder": {"name": "mlp", "width": 12, "depth": 1}}
    fitting = [spec for spec in structures("latents") if _accepts(Case("latents", spec, (FEATURES,)))]
    density = {"name": "flow", "flow": {"name": "spline", "width": 12, "steps": 2}}
    return [
        {"encoder": encoder, "latents": spec, "likelihood": likelihood}
        if spec["name"] != "none"
        else {"latents": spec, "likelihood": density}
        for spec in fitting
    ]


def part(tables: dict[str, Any], *path: str) -> Any:
    """The name of a component of the latents, such as ("posterior", "flow"); None where there is none."""
    table: Any = tables["latents"]
    for key in path:
        table = table.get(key) if table else None
    return table and table["name"]


def model(tables: dict[str, Any], event: tuple[int, ...] = (4,)) -> Any:
    """The model of ``tables`` over binary vectors, in float64, off its start."""
    return generic(build_model(tables, event))
