"""The door to training."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from flowvae import registry
from flowvae.data import Data, require_support
from flowvae.distributions import unchecked
from flowvae.engine.folder import Folder, Resume
from flowvae.engine.freezing import left_trainable
from flowvae.engine.generators import aside
from flowvae.engine.launch import launch
from flowvae.engine.loop import Loop
from flowvae.engine.malloc import keep_memory
from flowvae.engine.options import TRAINED, Training, training_options
from flowvae.errors import InputError
from flowvae.model import VAE
from flowvae.registry import Spec


@dataclass(frozen=True)
class Fitted:
    """What `fit` came to; bounds in nats per datum."""

    model: VAE
    """With the best weights by the bound on validation (the averaged ones where ``ema`` is on)."""
    run: Path | None
    history: list[dict[str, Any]]
    """The journal's records."""
    best_elbo: float | None
    """The best bound on validation; None when it was never finite."""
    best_epoch: int | None
    epochs: int
    steps: int
    seconds: float


def fit(
    model: VAE,
    data: Data,
    *,
    run: str | Path | None = None,
    objective: str | Spec = "elbo",
    optimiser: str | Spec = "adam",
    schedule: str | Spec = "constant",
    resume: Resume = False,
    quiet: bool = False,
    tables: dict[str, Any] | None = None,
    **options: Any,
) -> Fitted:
    """Train ``model`` on ``data.train``, and leave it with its best weights by the bound on ``data.validation``.

    The result is a function of the weights at the start, the data, the options and their ``seed``; torch's generators
    are left as they were. A run that was killed goes on with ``resume=True`` as if it had not been, bit for bit on the
    CPU (with the same number of threads).

    Args:
        model: trained in place, moved to the device it is trained on, and left in evaluation mode.
        data: its splits; the test split is not looked at.
        run: folder for config, journal, checkpoints and weights; without one the run is in memory only.
        objective: component by name or table; likewise ``optimiser`` and ``schedule``.
        resume: go on where the run in the folder stopped; "auto" begins one if there is none yet.
        quiet: neither progress bar nor notices.
        tables: further tables of the recipe, to keep in the run's config.toml.
        options: the fields of `Training`: ``epochs``, ``batch_size``, ``precision``, ``ema``, ...

    Raises:
        InputError: options, data, folder or checkpoint that do not fit.
        TrainingError: a loss or gradient that is not finite, named.
        Interrupted: Ctrl-C or SIGTERM, after the run was saved.

    >>> from flowvae.data import load_data
    >>> from flowvae.model import build_model
    >>> data = load_data("digits")
    >>> fitted = fit(build_model({}, data), data, epochs=1, quiet=True)
    >>> fitted.epochs, fitted.history[0]["kind"]
    (1, 'validation')
    """
    if resume not in (False, True, "auto"):
        raise InputError(f"expected resume to be False, True or 'auto'; got {resume!r}: choose one of these")
    if resume and run is None:
        raise InputError(
            f"expected the folder of a run to resume; got run=None: name it, or leave resume={resume!r} out"
        )
    if not isinstance(data, Data):
        raise InputError(f"expected a data set; got {type(data).__name__}: make one with load_data or from_arrays")
    training = training_options(**options)
    config = run_config(model, data, objective, optimiser, schedule, training, tables)
    require_fit(model, data)
    keep_memory()
    fabric = launch(training)
    try:
        # unchecked, since a value that is not finite is named by the loop
        with unchecked(), aside(fabric.device), left_trainable(model):
            torch.manual_seed(training.seed)
            folder = Folder(Path(run)) if run is not None else None
            loop = Loop(model, data, config, training, fabric, folder, resume=resume, quiet=quiet)
            state = loop.run()
    finally:
        model.eval()
    path = folder.path if folder else None
    history = loop.log.journal.records
    return Fitted(model, path, history, state.best, state.best_epoch, state.epoch, state.step, state.seconds)


def run_config(
    model: VAE,
    data: Data,
    objective: str | Spec,
    optimiser: str | Spec,
    schedule: str | Spec,
    training: Training,
    tables: dict[str, Any] | None,
) -> dict[str, Any]:
    """The run as a recipe: every table resolved, to be run again as it stands."""
    components = {"objective": objective, "optimiser": optimiser, "schedule": schedule}
    config = {
        "seed": training.seed,
        "data": data.spec,
        **(model.spec or {}),
        **{kind: registry.resolve(kind, spec, default=TRAINED[kind]) for kind, spec in components.items()},
        "training": training.model_dump(exclude={"seed", "phases"}) | {"epochs": training.total_epochs},
    }
    if training.phases:
        config["phases"] = [phase.model_dump() for phase in training.phases]
    return config | (tables or {})


def require_fit(model: VAE, data: Data) -> None:
    """`InputError` unless the model is one of such data, and in single precision."""
    if model.event_shape and model.event_shape != data.event_shape:
        raise InputError(
            f"expected data of shape {model.event_shape}, as the model was built for; got {data.event_shape}: "
            "build the model from this data"
        )
    if any(parameter.dtype != torch.float32 for parameter in model.parameters()):
        raise InputError("expected a model in single precision; got another: train model.float()")
    if (accepts := getattr(model.likelihood, "accepts", None)) is not None:
        name = model.spec["likelihood"]["name"] if model.spec else type(model.likelihood).__name__
        require_support(data, name, accepts, getattr(model.likelihood, "levels", None))
