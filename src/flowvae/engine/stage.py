"""What a phase trains with: parameters, objective, schedule, optimiser, and the step on its device."""

from typing import TYPE_CHECKING, Any

from torch import Tensor

from flowvae import registry
from flowvae.engine.compiling import compile_step
from flowvae.engine.freezing import freeze, parameters_of
from flowvae.engine.optim import carry_over, load_moments, set_rate
from flowvae.engine.options import TRAINED, Phase, overlaid
from flowvae.engine.step import Step, sliced_noise
from flowvae.errors import InputError
from flowvae.model import VAE

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Stage:
    """A phase set up: built anew for each, as its parameters, components and compiled step are its own."""

    def __init__(
        self, model: VAE, phase: Phase, config: dict[str, Any], trainable: set[str], steps_per_epoch: int
    ) -> None:
        tables = {kind: overlaid(config[kind], getattr(phase, kind)) for kind in TRAINED}
        self.parameters = freeze(model, phase.freeze, trainable)
        self.slow = [(period, parameters_of(model, part, "every")) for part, period in phase.every.items()]
        self.objective = registry.build("objective", tables["objective"])
        require_objective(self.objective)
        self.schedule = registry.build("schedule", tables["schedule"])
        self.optimiser = registry.build("optimiser", tables["optimiser"], self.parameters)
        self.steps_per_epoch, self.steps = steps_per_epoch, steps_per_epoch * phase.epochs
        self.plain = Step(model, self.objective)

    def prepare(self, fabric: "Fabric", compiled: dict[str, Any] | None, before: "Stage | None") -> None:
        """Wrap the step (compiled, with options, where ``compiled``), and take over the moments of ``before``."""
        world = fabric.world_size
        noise = sliced_noise(fabric.global_rank, world, fabric.device) if world > 1 else None
        step = Step(self.plain.model, self.objective, noise)
        if compiled is not None:
            compile_step(step, compiled)
        self.forward = fabric.setup(step)
        if before:
            carry_over(before.optimiser, self.optimiser)

    def set_rate(self, step: int) -> float:
        """Set the learning rate for ``step`` of the phase, and return it."""
        return set_rate(self.optimiser, self.schedule(step, self.steps_per_epoch, self.steps))

    def spare(self, step: int) -> None:
        """Drop the gradients of the parts whose turn it is not at ``step`` of the phase."""
        for period, parameters in self.slow:
            if (step + 1) % period:
                for parameter in parameters:
                    parameter.grad = None

    def beta(self, clock: int) -> float:
        """The objective's weight of the rate at ``clock`` steps."""
        return self.objective.weight(clock, self.steps_per_epoch)

    def is_warming_at_end(self, clock: int) -> bool:
        """Whether beta still rises at the end of the phase that begins at ``clock`` steps."""
        end = clock + self.steps
        return self.is_warming(end) and self.is_warming(end + 1)

    def steady(self, clock: int, epochs: int) -> int:
        """How many of the ``epochs`` that end at ``clock`` steps leave beta as it is."""
        return sum(not self.is_warming(clock - epoch * self.steps_per_epoch) for epoch in range(epochs))

    def is_warming(self, clock: int) -> bool:
        """Whether beta has just risen."""
        return self.beta(clock - 1) < self.beta(clock)

    def drop_gradients(self) -> None:
        """Free them, so that the next backward pass writes instead of adds."""
        for parameter in self.parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Moments, and where the schedule stands."""
        return {"optimiser": self.optimiser.state_dict(), "schedule": self.schedule.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        load_moments(self.optimiser, state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])

    def __call__(self, x: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
        """The loss and the measures of a batch."""
        return self.forward(x, beta)


def require_objective(objective: Any) -> None:
    """Raise `InputError` for a component, as of a plugin, that lacks what training asks of an objective."""
    for name in ("samples", "terms", "weight"):
        if not hasattr(objective, name):
            raise InputError(
                f"expected an objective with samples, terms and weight; got {type(objective).__name__}, which has no "
                f"{name}: derive it from flowvae.objectives.Objective"
            )
