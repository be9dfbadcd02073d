"""A run on file: weights and checkpoints while it trains, and the way back to where it stood."""

import time
from typing import Any

import torch

from flowvae.data import Data
from flowvae.engine.ema import Average, averaged
from flowvae.engine.folder import Folder, require_same
from flowvae.engine.generators import rng_state, set_rng_state
from flowvae.engine.journal import Journal
from flowvae.engine.stage import Stage
from flowvae.engine.state import State, load_checkpoint, save_checkpoint
from flowvae.engine.weights import restore, save_weights
from flowvae.model import VAE

Parts = dict[str, Any]
"""What a checkpoint holds beside the `State`."""


class Checkpoints:
    """Of the run in ``folder``; without one nothing is written. ``fingerprint`` is what a continuation must share."""

    def __init__(self, folder: Folder | None, fingerprint: dict[str, Any]) -> None:
        self.folder, self.fingerprint = folder, fingerprint
        self.saved = time.perf_counter()
        self._best_on_file: dict[str, Any] | None = None

    @property
    def age(self) -> float:
        """Seconds since the run was saved."""
        return time.perf_counter() - self.saved

    def begin(self, config: dict[str, Any], data: Data, model: VAE) -> None:
        """Make the folder of a new run, with the weights it starts from."""
        if self.folder is None:
            return
        self.folder.make(config, data)
        save_weights(self.folder.weights("initial"), model.state_dict())

    def save(
        self, state: State, model: VAE, stage: Stage, average: Average | None, journal: Journal, device: torch.device
    ) -> None:
        """Write weights and checkpoint; the checkpoint last, so that it never speaks of a file that is not there."""
        self.saved = time.perf_counter()
        if self.folder is None:
            return
        self.keep_best(state)
        with averaged(average):
            save_weights(self.folder.weights("last"), model.state_dict())
        journal.sync()
        save_checkpoint(
            self.folder.checkpoint,
            state,
            fingerprint=self.fingerprint,
            model=model.state_dict(),
            stage=stage.state_dict(),
            average=average.state_dict() if average else None,
            rng=rng_state(device),
            journal=journal.length,
        )

    def keep_best(self, state: State) -> None:
        """Write the best weights, unless they are on file."""
        if self.folder and state.best_weights is not None and state.best_weights is not self._best_on_file:
            save_weights(self.folder.weights("best"), state.best_weights)
            self._best_on_file = state.best_weights


def go_back(folder: Folder, fingerprint: dict[str, Any], model: VAE) -> tuple[State, Parts]:
    """Where the run in ``folder`` stood, with the model's weights of then; `InputError` where it was another run."""
    state, parts = load_checkpoint(folder.checkpoint)
    require_same(parts["fingerprint"], fingerprint, folder.path)
    restore(model, parts["model"], folder.checkpoint)
    return state, parts


def go_on(parts: Parts, stage: Stage, average: Average | None, device: torch.device) -> None:
    """The rest of the way back, once the phase is set up: moments, schedule, averages and generators."""
    stage.load_state_dict(parts["stage"])
    if average:
        average.load_state_dict(parts["average"])
    set_rng_state(parts["rng"], device)
