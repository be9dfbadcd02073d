"""What a run says before its first step, once it is settled what its options come to on its device."""

import torch

from flowvae.engine.compiling import can_compile, no_compiler
from flowvae.engine.options import Training
from flowvae.engine.precision import EMULATED, multiplies_bf16, settled
from flowvae.engine.state import State


def on_beginning(state: State, training: Training, batch: int, device: torch.device) -> list[str]:
    """Settle precision and compilation of a new run; what is not as its options have it is said."""
    said = []
    state.precision = settled(training, device)
    if training.precision == "auto":
        said.append(f"precision: {state.precision}, as this device has it")
    elif state.precision == "bf16-mixed" and not multiplies_bf16(device):
        said.append(EMULATED)
    if batch < training.batch_size:
        said.append(f"the batch is the whole training split: {batch} data, not {training.batch_size}")
    said += without_compiler(state, device)
    if state.compiled:
        said.append("compiling the step: some 20 to 90 s pass before the first one")
    return said


def on_resuming(state: State, training: Training, device: torch.device) -> list[str]:
    """Settle precision and compilation of a run that goes on; where they are others than before, that is said."""
    before, state.precision = state.precision, settled(training, device)
    said = [f"resumed at step {state.step}, epoch {state.epoch + 1}"]
    if before not in (None, state.precision):
        said.append(f"from here on in {state.precision}, as this device has it; in {before} until now")
    return said + without_compiler(state, device)


def without_compiler(state: State, device: torch.device) -> list[str]:
    """Leave compilation out where the device has no compiler for it, and say so."""
    if not state.compiled or can_compile(device):
        return []
    state.compiled = False
    return [f"training without compilation, a fifth slower: {no_compiler(device)}"]
