"""Before the first step: what cannot work is found out, what is compiled decided, and what starts from data does."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from flowvae.data import Split
from flowvae.engine.compiling import worth_training
from flowvae.engine.freezing import settle
from flowvae.engine.generators import aside
from flowvae.engine.options import Phase, Training
from flowvae.engine.stage import Stage
from flowvae.engine.weights import copied
from flowvae.engine.work import Work
from flowvae.errors import InputError, in_memory
from flowvae.model import VAE, begin_priors
from flowvae.nn import starting, unstarted

if TYPE_CHECKING:
    from lightning_fabric import Fabric

TRIED = 2
"""Data that go through every phase's step."""


@in_memory("a step", "lower objective.samples, or the sizes of the model")
@torch.no_grad()
def rehearse(
    model: VAE, train: Split, plan: Sequence[Phase], stage_of: Callable[[Phase], Stage], fabric: "Fabric"
) -> list[Work]:
    """`TRIED` data through every phase's step, and all as before; what that pass computes in each.

    What cannot work (an objective without a closed form, a phase that trains nothing) raises its `InputError` here,
    before anything is written or compiled.
    """
    before, found = copied(model.state_dict()), []
    model.eval()
    with aside(fabric.device), fabric.autocast():
        x = train.take(TRIED).batch(torch.arange(min(TRIED, len(train)), device=fabric.device))
        for phase in plan:
            settle(model, phase.freeze)
            stage = stage_of(phase)
            with Work() as work, of_known_kernels():
                stage.plain(x, torch.ones((), device=fabric.device))
            found.append(work)
    model.load_state_dict(before)
    model.train()
    return found


@contextmanager
def of_known_kernels() -> Iterator[None]:
    """What a processor without bfloat16 says of an LSTM in it, in words with a remedy."""
    try:
        yield
    except RuntimeError as error:
        if "primitive descriptor" not in str(error):
            raise
        raise InputError(
            "expected layers that this processor computes in bf16-mixed; got an LSTM: use training.precision = 'auto'"
        ) from error


def compiles(model: VAE, training: Training, work: Sequence[Work], steps_per_epoch: int, batch: int) -> bool:
    """Whether a new run is to compile its steps: "auto" does where the work that `rehearse` found wins that back."""
    steps = [phase.epochs * steps_per_epoch for phase in training.plan]
    pays = worth_training(model, work, steps, batch / TRIED)
    return training.compile == "on" or (training.compile == "auto" and pays)


def start_from_data(model: VAE, train: Split, rows: Tensor) -> None:
    """The data ``rows`` through the model once, for the parts whose parameters start from data (`starting`).

    Priors that start at data then do so again: their encoder is another one.
    """
    if unstarted(model):
        with aside(rows.device):
            with starting(model):
                model(train.batch(rows))
            begin_priors(model, train.examples)
