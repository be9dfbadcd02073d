"""Training: a flat loop whose every run can be stopped, killed and continued."""

from flowvae.engine.faults import TrainingError
from flowvae.engine.fit import Fitted, fit
from flowvae.engine.interrupt import Interrupted
from flowvae.engine.journal import read_journal
from flowvae.engine.loading import load
from flowvae.engine.malloc import keep_memory
from flowvae.engine.options import Phase, Training, training_options
from flowvae.engine.weights import load_weights

__all__ = [
    "Fitted", "Interrupted", "Phase", "Training", "TrainingError",
    "fit", "keep_memory", "load", "load_weights", "read_journal", "training_options",
]  # fmt: skip
