"""What training does to the process it runs in."""

import itertools
import os
import platform
import signal
import subprocess
import sys
import threading

import pytest

from flowvae.engine import Interrupted, fit
from flowvae.engine.interrupt import asked_to_stop
from flowvae.engine.validation import validate

FAULTS = """
import resource
from flowvae.engine import keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        first, second = bytearray(8 << 20), bytearray(8 << 20)
        del first, second
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

without = faults()
print(keep_memory())
faults()
print(faults() < without / 10)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="settings of glibc")
def test_freed_memory_stays_with_the_process():
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


def test_signals_are_handled_inside_only_and_once():
    before = signal.getsignal(signal.SIGTERM)
    with asked_to_stop() as stop:
        assert stop.number == 0
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.number == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) is before
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_in_memory_is_interrupted_too(data, build):
    model, calls = build(), itertools.count()
    model.register_forward_hook(lambda *_: os.kill(os.getpid(), signal.SIGINT) if next(calls) == 10 else None)
    with pytest.raises(Interrupted, match="interrupted at step") as stopped:
        fit(model, data, epochs=10_000, compile="off", quiet=True)
    assert stopped.value.code == 130


def test_a_signal_in_the_last_validation_is_not_lost(data, build, tmp_path, monkeypatch):
    def interrupted(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return validate(*arguments)

    options = {"epochs": 1, "run": tmp_path / "run", "quiet": True}
    monkeypatch.setattr("flowvae.engine.loop.validate", interrupted)
    with pytest.raises(Interrupted, match="when the run was finished") as stopped:
        fit(build(), data, **options)
    assert stopped.value.code == 143
    found = fit(build(), data, resume=True, **options)
    assert (found.epochs, found.best_epoch) == (1, 1)


def test_it_trains_outside_the_main_thread(data, build):
    found = []
    thread = threading.Thread(target=lambda: found.append(fit(build(), data, epochs=1, quiet=True).epochs))
    thread.start()
    thread.join()
    assert found == [1]
