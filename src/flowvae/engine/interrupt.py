"""Ctrl-C and SIGTERM end a run between two steps, not inside one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """Training stopped at a signal, with the run saved. ``code`` is the exit status by convention: 130 or 143."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.code = 128 + number


class Stop:
    """Which signal asked to stop, if any."""

    number: int = 0


@contextmanager
def asked_to_stop() -> Iterator[Stop]:
    """Note the first Ctrl-C or SIGTERM in a `Stop`; a second one acts at once, as ever.

    Outside the main thread signals cannot be handled, and nothing is changed.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, frame: FrameType | None) -> None:
        stop.number = number
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        restore()
