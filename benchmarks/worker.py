"""One contestant in a process of its own: ``python -m benchmarks.worker JOB``, the job as JSON."""

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.contestants import Place
from benchmarks.gate import Gate
from benchmarks.settings import Settings


def main(job: dict[str, Any]) -> None:
    """Run a function of `benchmarks.contestants`, which passes the gate between our standard streams."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    settings = Settings(**job["settings"])
    torch.set_num_threads(settings.threads)
    torch.manual_seed(0)
    module, name = job["function"].rsplit(".", 1)
    function = getattr(importlib.import_module(f"benchmarks.contestants.{module}"), name)
    options = job["options"]
    if "dtype" in options:
        options["dtype"] = getattr(torch, options["dtype"])
    function(Place(settings, Path(job["data"]), Path(job["folder"]), Gate(sys.stdin, answers)), **options)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
