"""A gate that contestants pass before every step: closed, they sleep; opened, they run for a slice of time."""

import json
import sys
import time
from typing import IO


class Gate:
    """Reads seconds from ``commands``, one slice a line, and answers each with the work done and the time it took.

    A contestant calls the gate with the amount of work it is about to do. The first call waits for a command; the call
    after the slice is over answers, and waits for the next. So a slice is a whole number of steps, timed from the start
    of its first to the end of its last, with nothing of what went before: no import, no compilation.
    """

    def __init__(self, commands: IO[str], answers: IO[str]):
        self.commands, self.answers = commands, answers
        self.open = False
        self.began, self.seconds, self.done = 0.0, 0.0, 0.0

    def __call__(self, work: float) -> None:
        if self.open and (taken := time.perf_counter() - self.began) >= self.seconds:
            self.answer({"work": self.done, "seconds": taken})
            self.open = False
        if not self.open:
            self.wait()
        self.done += work

    def wait(self) -> None:
        """Sleep until the next command; leave the process when there is none."""
        line = self.commands.readline()
        if not line:
            sys.exit(0)
        self.seconds, self.done, self.open = float(line), 0.0, True
        self.began = time.perf_counter()

    def answer(self, record: dict[str, float]) -> None:
        """Write one line of JSON."""
        self.answers.write(json.dumps(record) + "\n")
        self.answers.flush()
