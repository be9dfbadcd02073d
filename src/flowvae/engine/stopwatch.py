"""How long a run has taken, and how long its steps."""

import time


class Stopwatch:
    """``seconds`` since the run began, over all its sessions; ``busy`` those spent on the ``steps`` since `restart`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.mark = time.perf_counter()
        self.restart()

    def restart(self) -> None:
        """Count steps, and the time spent on them, from here."""
        self.busy, self.steps = 0.0, 0

    def lap(self, *, training: bool) -> float:
        """Add the time since the last lap, to that of the steps too if it was spent on them; the seconds up to now."""
        now = time.perf_counter()
        self.seconds += now - self.mark
        self.busy += (now - self.mark) * training
        self.mark = now
        return self.seconds

    @property
    def steps_per_second(self) -> float:
        """Over the time since `restart`."""
        return self.steps / self.busy if self.busy else 0.0
