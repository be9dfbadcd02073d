"""A run goes on under a library that has gained options since."""

from pathlib import Path

import pytest
import torch

from flowvae.data import Data
from flowvae.engine import fit
from flowvae.engine.folder import Folder
from flowvae.engine.state import load_checkpoint, save_checkpoint
from flowvae.errors import InputError
from flowvae.model import build_model
from tests.engine.train_digits import SPEC


@pytest.mark.parametrize("gained", ["training.batch_size", "optimiser.amsgrad", "encoder.activation", "data.scale"])
def test_what_a_checkpoint_does_not_know_is_at_its_default(gained: str, data: Data, tmp_path: Path) -> None:
    def go_on(**options: int) -> None:
        torch.manual_seed(1)
        fit(build_model(SPEC, data), data, epochs=1, run=tmp_path / "run", resume="auto", quiet=True, **options)

    go_on()
    checkpoint = Folder(tmp_path / "run").checkpoint
    state, parts = load_checkpoint(checkpoint)
    del parts["fingerprint"][gained]
    save_checkpoint(checkpoint, state, **parts)
    go_on()
    with pytest.raises(InputError, match=r"expected training\.batch_size = 128 as in the run"):
        go_on(batch_size=64)
