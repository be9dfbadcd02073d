"""What a run tells: lines of its journal, notices, and the bar on a terminal."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flowvae.engine.journal import Journal
from flowvae.engine.launch import reduced
from flowvae.engine.progress import Bar
from flowvae.engine.state import State
from flowvae.engine.step import MEASURES
from flowvae.engine.stopwatch import Stopwatch

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Log:
    """Of the run that stands at ``state``: the journal gets all, with the time on the watch; the bar shows the last."""

    def __init__(self, state: State, journal: Journal, bar: Bar, batch: int, fabric: "Fabric") -> None:
        self.state, self.journal, self.bar = state, journal, bar
        self.batch, self.fabric = batch, fabric
        self.watch = Stopwatch(state.seconds)

    def event(self, message: str) -> None:
        """A notice."""
        self.journal.write("event", message=message, step=self.state.step)
        self.bar.note(message)

    def train(self) -> None:
        """Means of the measures, and the largest gradient, of all processes and the steps since the last such line."""
        state, watch = self.state, self.watch
        if not state.counted:
            return
        means = (reduced(self.fabric, state.sums, "mean") / state.counted).tolist()
        entries = dict(zip(MEASURES, means, strict=True)) | {"beta": state.beta, "lr": state.lr}
        entries["gradient_norm"] = state.steepest.item()
        entries["seconds"] = round(watch.lap(training=True), 3)
        entries["samples_per_second"] = speed = round(watch.steps_per_second * self.batch, 1)
        epoch = state.epoch + (state.position > 0)
        self.journal.write("train", step=state.step, epoch=epoch, phase=state.phase, **entries)
        self.bar.train(entries["elbo"], speed)
        state.sums.zero_()
        state.steepest.zero_()
        state.counted = 0
        watch.restart()

    def validation(self, figures: Mapping[str, Any], *, best: bool) -> None:
        """The ``figures`` of a validation that is just done."""
        state, seconds = self.state, round(self.watch.lap(training=False), 3)
        where = {"step": state.step, "epoch": state.epoch, "phase": state.phase}
        self.journal.write("validation", **where, **figures, best=best, seconds=seconds)
        self.bar.validation(figures["elbo"])
