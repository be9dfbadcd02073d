"""How to train, as data: every option of `fit` beside the model, the data and the three components."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from flowvae import registry
from flowvae.errors import InputError
from flowvae.registry import Count, Positive, Seed, Spec, validated

Decay = Annotated[float, Field(gt=0, lt=1, strict=True)]
Names = Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]

DEFAULT_EPOCHS = 50

TRAINED = {"objective": "elbo", "optimiser": "adam", "schedule": "constant"}
"""The tables of training that name a component, and the one that each stands for when it names none."""


class Phase(BaseModel):
    """A stretch of training with its own frozen parameters, optimiser, schedule and objective.

    The learning-rate schedule spans the phase. The objective's clock (its warm-up) runs on from phase to phase and
    starts again only where ``reset`` is set. The optimiser's moments are kept for the parameters that go on training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: Count
    freeze: Names = []
    """Parts of parameter names, between dots: ``"encoder"``, ``"latents.prior"``. Their parameters stand still.

    Learned gates of a graph stand, at the likely one, in the phases that freeze them, and learn in all others."""
    every: dict[str, Count] = {}
    """Parts that are updated at every n-th step only, as {likelihood = 10}: an encoder that would lag behind a strong
    decoder is then trained closer to the true posterior between the decoder's steps (He et al., 2019,
    arXiv:1901.05534)."""
    reset: bool = False
    """Start again: initial weights for every parameter that is not frozen, a fresh optimiser, EMA and best score."""
    objective: Spec | None = None
    """Options laid over the run's objective (another ``name`` replaces it); likewise the two below."""
    optimiser: Spec | None = None
    schedule: Spec | None = None


class Training(BaseModel):
    """The options of `fit`; times are in epochs unless said otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: Count | None = None
    """Epochs in all: 50 unless given; with ``phases`` it follows from them."""
    batch_size: Count = 128
    """Data in a step, over all processes. The last, incomplete batch of an epoch is left out."""
    precision: Literal["auto", "fp32", "bf16-mixed"] = "fp32"
    """``bf16-mixed`` multiplies matrices in bfloat16, twice as fast on a device that has such products; ``auto`` does
    so there, and trains in float32 elsewhere. Weights are kept, and models evaluated, in float32."""
    compile: Literal["auto", "on", "off"] = "auto"
    """``auto`` compiles the step when the run is long enough to win the compilation back (`worth_training`)."""
    cuda_graphs: bool = True
    """On a CUDA device, in a single process, the compiled step is replayed as graphs (`compile_options`)."""
    channels_last: Literal["auto", "on", "off"] = "auto"
    """Whether convolutions keep the channels of a pixel side by side, as tensor cores take them: ``auto`` on a CUDA
    device. A matter of memory alone, up to rounding."""
    clip: Positive | None = None
    """Largest global norm of the gradient: a longer one is scaled down to it."""
    skip: Positive | None = None
    """A gradient of a greater norm is left out with its step, as rare ones of deep ladders are (Child, 2021,
    arXiv:2011.10650); the journal tells each, and its usual size."""
    ema: Decay | None = None
    """Decay of the exponential moving average of the weights, which then are validated and kept."""
    patience: Count | None = None
    """End a phase after this many epochs without a better validation bound; those in which beta rises do not count."""
    validate_every: Count = 1
    checkpoint_every_seconds: Positive = 60.0
    log_every: Count = 50
    """Steps between two training lines of the journal, each a mean over the steps between."""
    seed: Seed = 0
    on_nonfinite: Literal["stop", "skip"] = "stop"
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` is a CUDA device where there is one, else the CPU."""
    phases: list[Phase] = []

    @model_validator(mode="after")
    def _epochs_agree(self) -> "Training":
        total = sum(phase.epochs for phase in self.phases)
        if self.phases and self.epochs not in (None, total):
            raise InputError(
                f"expected epochs to be the sum over the phases, {total}; got {self.epochs}: "
                "leave them out (--set training.epochs=)"
            )
        return self

    @property
    def plan(self) -> list[Phase]:
        """The phases in order; a run without phases is one phase."""
        return self.phases or [Phase(epochs=self.epochs or DEFAULT_EPOCHS)]

    @property
    def total_epochs(self) -> int:
        """Epochs over all phases."""
        return sum(phase.epochs for phase in self.plan)


def training_options(**options: Any) -> Training:
    """Validated options; `InputError` names where an unknown one belongs, the nearest one, or a value out of range."""
    for key in options:
        if key not in Training.model_fields and (place := place_of(key)):
            raise InputError(f"training.{key}: no such option{place}")
    return validated(Training, options, "training")


def place_of(key: str) -> str:
    """Where ``key`` is an option, if it is one of a component of training: the tail of a message.

    >>> place_of("lr"), place_of("width")
    (': use optimiser.lr', '')
    """
    kinds = [
        kind
        for kind in TRAINED
        if any(option.name == key for name in registry.names(kind) for option in registry.options(kind, name))
    ]
    return f": use {' or '.join(f'{kind}.{key}' for kind in kinds)}" if kinds else ""


def overlaid(base: dict[str, Any], changes: Spec | None) -> dict[str, Any]:
    """A component's table with a phase's changes laid over it; a change of name starts from that one's defaults.

    >>> overlaid({"name": "adam", "lr": 0.1}, {"lr": 0.01})
    {'name': 'adam', 'lr': 0.01}
    >>> overlaid({"name": "adam", "lr": 0.1}, "adamax")
    {'name': 'adamax'}
    """
    table = {"name": changes} if isinstance(changes, str) else changes or {}
    return base | table if table.get("name", base["name"]) == base["name"] else table
