"""A progress bar on a terminal: epoch, bounds, samples a second, time to go."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

PAUSE = 0.2  # seconds between two redraws


class Bar:
    """The bar of a run; it shows nothing when ``quiet``, or where standard error is no terminal."""

    def __init__(self, epochs: int, steps_per_epoch: int, *, done: int = 0, quiet: bool) -> None:
        self.quiet = quiet
        self.epochs = epochs
        self.steps_per_epoch = steps_per_epoch
        self._train: float | None = None
        self._validation: float | None = None
        self._rate = 0.0
        self._shown = 0.0
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"), TimeRemainingColumn(),
            console=console, disable=quiet or not console.is_terminal,
        )  # fmt: skip
        self._task = self._progress.add_task("epoch", total=epochs * steps_per_epoch, completed=done, text="")

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def step(self, epoch: int, position: int) -> None:
        """Note a step; redrawn a few times a second at most."""
        if self._progress.disable or (now := time.monotonic()) - self._shown < PAUSE:
            return
        self._shown = now
        bounds = [f"{name} {value:.2f}" for name, value in self._bounds() if value is not None]
        self._progress.update(
            self._task,
            completed=epoch * self.steps_per_epoch + position,
            description=f"epoch {min(epoch + 1, self.epochs)}/{self.epochs}",
            text="  ".join([*bounds, f"{self._rate:,.0f}/s"]),
        )

    def train(self, elbo: float, samples_per_second: float) -> None:
        """The training bound and the speed to show from now on."""
        self._train, self._rate = elbo, samples_per_second

    def validation(self, elbo: float) -> None:
        """The validation bound to show from now on."""
        self._validation = elbo

    def note(self, text: str) -> None:
        """Say ``text`` on standard error, above the bar."""
        if self.quiet:
            return
        if self._progress.disable:
            print(text, file=sys.stderr)
        else:
            self._progress.console.print(text, markup=False, highlight=False)

    def _bounds(self) -> list[tuple[str, float | None]]:
        return [("train", self._train), ("validation", self._validation)]
