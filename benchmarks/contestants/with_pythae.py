"""pythae, by its own trainer and its own estimate of log p(x), given the same nets."""

from typing import Any

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAE_IAF, VAE_IAF_Config, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor, nn

from benchmarks import pictures
from benchmarks.contestants import Place
from benchmarks.settings import Settings

ENDLESS = 10**6  # epochs


class Encoder(BaseEncoder):
    """The encoder that all contestants have."""

    def __init__(self, s: Settings):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(s.pixels, s.width), nn.ReLU(), nn.Linear(s.width, s.width), nn.ReLU())
        self.mean, self.log_var = nn.Linear(s.width, s.dim), nn.Linear(s.width, s.dim)

    def forward(self, x: Tensor) -> ModelOutput:
        h = self.net(x)
        return ModelOutput(embedding=self.mean(h), log_covariance=self.log_var(h))


class Decoder(BaseDecoder):
    """The decoder that all contestants have; pythae takes probabilities, so it ends in a sigmoid."""

    def __init__(self, s: Settings):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(s.dim, s.width), nn.ReLU(), nn.Linear(s.width, s.width), nn.ReLU(), nn.Linear(s.width, s.pixels),
            nn.Sigmoid(),
        )  # fmt: skip

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.net(z))


class Pace(TrainingCallback):
    """Passes the gate after every step: a callback is pythae's own way to be told."""

    def __init__(self, place: Place):
        self.place = place

    def on_train_step_end(self, training_config: Any, **_: Any) -> None:
        self.place.gate(self.place.settings.batch)


def train(place: Place, *, flow: bool) -> None:
    """pythae's trainer on grey values: it has no way to binarise a batch, which spares it that work."""
    x = pictures.read(place.data, "train") / 255
    config = BaseTrainerConfig(
        output_dir=str(place.folder), num_epochs=ENDLESS, learning_rate=1e-3, optimizer_cls="Adam", no_cuda=True,
        per_device_train_batch_size=place.settings.batch,
    )  # fmt: skip
    data = BaseDataset(x, torch.zeros(len(x)))
    BaseTrainer(build(place.settings, flow), data, training_config=config, callbacks=[Pace(place)]).train()


@torch.no_grad()
def evaluate(place: Place, *, flow: bool, batches: int) -> None:
    """`get_nll` without gradients, in ``batches`` a datum: two are its default of 100 for 200 samples, one is best."""
    settings = place.settings
    model = build(settings, flow).eval()
    data = pictures.bits(pictures.read(place.data, "test")[: settings.points])
    while True:
        place.gate(settings.points * settings.samples)
        model.get_nll(data, n_samples=settings.samples, batch_size=settings.samples // batches)


def build(s: Settings, flow: bool) -> VAE:
    """The model of the settings."""
    shape: dict[str, Any] = {"input_dim": (s.pixels,), "latent_dim": s.dim, "reconstruction_loss": "bce"}
    if not flow:
        return VAE(VAEConfig(**shape), encoder=Encoder(s), decoder=Decoder(s))
    config = VAE_IAF_Config(**shape, n_made_blocks=s.steps, n_hidden_in_made=2, hidden_size=s.flow_width)
    return VAE_IAF(config, encoder=Encoder(s), decoder=Decoder(s))
