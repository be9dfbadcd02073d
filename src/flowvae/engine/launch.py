"""Device, precision and processes, by Fabric; and what the processes do together."""

import atexit
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn

from flowvae.engine.options import Training
from flowvae.engine.precision import Precision, settled
from flowvae.errors import InputError
from flowvae.nn import BatchNorm

if TYPE_CHECKING:
    from lightning_fabric import Fabric

PRECISIONS: dict[Precision, Literal["32-true", "bf16-mixed"]] = {"fp32": "32-true", "bf16-mixed": "bf16-mixed"}


def launch(training: Training) -> "Fabric":
    """The Fabric of this process: one of several under ``torchrun``, else alone.

    Raises `InputError` when there is no CUDA device though one is asked for.
    """
    from lightning_fabric import Fabric  # not above: importing it replaces torch.compile by a wrapper

    accelerator = training.accelerator
    if accelerator == "auto":
        accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    elif accelerator == "cuda" and not torch.cuda.is_available():
        raise InputError("expected a CUDA device; got none: set training.accelerator to 'auto' or 'cpu'")
    world, local = (int(os.environ.get(name, "1")) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    with _hushed():
        fabric = Fabric(
            accelerator=accelerator,
            precision=PRECISIONS[settled(training, torch.device(accelerator))],
            devices=local,
            num_nodes=world // local,
            strategy="ddp" if world > 1 else "auto",
        )
        fabric.launch()
    if world > 1:
        atexit.unregister(_part)
        atexit.register(_part)
    return fabric


def wants_channels_last(training: Training, device: torch.device) -> bool:
    """What ``training.channels_last`` comes to on a device."""
    return training.channels_last == "on" or (training.channels_last == "auto" and device.type == "cuda")


def place(model: nn.Module, device: torch.device, training: Training) -> None:
    """Move ``model`` to the device, kernels laid out channels last where ``training`` wants it: maps follow them."""
    model.to(device)
    if wants_channels_last(training, device):
        model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it


def _part() -> None:
    """Leave the process group at exit: its threads, cut off by the end of the process, would abort it."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def reduced(fabric: "Fabric", value: Tensor, how: Literal["sum", "mean", "max"]) -> Tensor:
    """``value`` over all processes."""
    return value if fabric.world_size == 1 else cast(Tensor, fabric.all_reduce(value, reduce_op=how))


def require_shares(fabric: "Fabric", model: nn.Module, batch: int) -> None:
    """`InputError` unless the processes can share a batch equally, and normalise their shares if the model does."""
    part, rest = divmod(batch, fabric.world_size)
    if rest:
        raise InputError(
            f"expected a batch that {fabric.world_size} processes can share equally; got {batch}: "
            "set training.batch_size to a multiple"
        )
    if part == 1 and any(isinstance(module, BatchNorm) for module in model.modules()):
        raise InputError(
            "expected at least 2 data in a batch of a process, over which norm = 'batch' normalises; got 1: raise "
            "training.batch_size, or leave norm out"
        )


def share(fabric: "Fabric", batch: Tensor) -> Tensor:
    """This process' part of a batch; their number divides the batch."""
    part = len(batch) // fabric.world_size
    return batch[fabric.global_rank * part : (fabric.global_rank + 1) * part]


def align(fabric: "Fabric", model: nn.Module) -> None:
    """Give every process the weights of the first."""
    fabric.barrier()
    if fabric.world_size > 1:
        for value in (*model.parameters(), *model.buffers()):
            if value.numel():
                torch.distributed.broadcast(value.detach(), 0)


@contextmanager
def _hushed() -> Iterator[None]:
    """Without Fabric's advice on standard error."""
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
