"""Device, precision and processes, by Fabric."""

import os
import warnings
from typing import TYPE_CHECKING

import torch

from flowvae.engine.options import Training
from flowvae.errors import InputError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

PRECISIONS = {"fp32": "32-true", "bf16-mixed": "bf16-mixed"}


def launch(training: Training) -> "Fabric":
    """The Fabric of this process: one of several under ``torchrun``, else alone.

    Raises `InputError` when there is no CUDA device though one is asked for.
    """
    from lightning_fabric import Fabric  # not above: importing it patches torch.compile

    if training.accelerator == "cuda" and not torch.cuda.is_available():
        raise InputError("expected a CUDA device; got none: set training.accelerator to 'auto' or 'cpu'")
    world, local = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fabric = Fabric(
            accelerator=training.accelerator,
            precision=PRECISIONS[training.precision],  # type: ignore[arg-type]
            devices=local,
            num_nodes=world // local,
            strategy="ddp" if world > 1 else "auto",
        )
        fabric.launch()
    return fabric
