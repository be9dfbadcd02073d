"""What is compared: sizes of nets and data, and how long it is measured."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """784-500-500-z32, mirrored, batch 128, flow of 4 steps with 2 x 320 units; log p(x) with 200 samples x 500 data.

    Every layer is followed by a ReLU, as pythae's flow allows no other, and the flow sees no encoder context, as pythae
    cannot give it one.
    """

    side: int = 28
    width: int = 500
    dim: int = 32
    steps: int = 4
    flow_width: int = 320
    batch: int = 128

    flow_dim: int = 64
    """Coordinates of the points on which flows alone are compared, with the steps and widths above."""
    flow_batch: int = 1024
    """Such points in a batch."""

    rows: int = 390 * 128
    """Training data: a multiple of the batch, so that every step is a full one in every contestant."""
    points: int = 500
    samples: int = 200
    memory_points: int = 40
    memory_samples: int = 5000

    lines: int = 50 * 128
    """Sequences, all of ``length`` tokens."""
    length: int = 32
    vocabulary: int = 100
    embedding: int = 64
    recurrent: int = 256
    """Units of every LSTM."""
    decoded: int = 256
    """Sequences that are decoded at a time."""

    maps: int = 32
    """Channels of a ladder."""
    rungs: int = 2
    """Of each of its two resolutions."""
    ladder_batch: int = 32

    square: int = 2048
    """Side of the matrices whose product is the measured peak."""

    training_rounds: int = 7
    evaluation_rounds: int = 5
    flow_rounds: int = 7
    settle: float = 0.25
    """Seconds that a contestant runs before it is measured in a round: threads wake, caches fill."""
    slice: float = 1.0
    """Seconds it is then measured for, and on to the end of the step under way."""
    threads: int = 2
    compiled: bool = True

    @property
    def pixels(self) -> int:
        """Numbers in a datum."""
        return self.side**2

    def weights(self, flow: bool) -> int:
        """Weights that are multiplied, biases and masks aside, in all and as every contestant has them."""
        encoder = self.pixels * self.width + self.width**2 + 2 * self.width * self.dim
        return encoder + self.decoder + self.flow * flow

    @property
    def decoder(self) -> int:
        """Weights of the decoder."""
        return self.dim * self.width + self.width**2 + self.width * self.pixels

    @property
    def flow(self) -> int:
        """Weights of the flow of the model; masked ones count."""
        return self.flow_weights(self.dim)

    def flow_weights(self, dim: int) -> int:
        """Weights of a flow over ``dim`` coordinates; masked ones count."""
        return self.steps * (dim * self.flow_width + self.flow_width**2 + 2 * self.flow_width * dim)

    @property
    def recurrence(self) -> int:
        """Weights that an LSTM multiplies for a token."""
        return 4 * self.recurrent * (self.embedding + self.recurrent)

    @property
    def head(self) -> int:
        """Weights from an LSTM to the tokens and the end; flowvae has the unknown beside them."""
        return self.recurrent * (self.vocabulary + 1)

    def training_flop(self, flow: bool) -> float:
        """Of a step, a datum: forward, and backward to weights and inputs, but for the data."""
        return 6 * self.weights(flow) - 2 * self.pixels * self.width

    def evaluation_flop(self, flow: bool) -> float:
        """Of log p(x), a sample: the decoder and the flow; the encoder runs once a datum."""
        return 2 * (self.decoder + self.flow * flow)


QUICK = Settings(
    side=8, width=16, dim=4, steps=2, flow_width=16, batch=16, flow_dim=6, flow_batch=32, rows=1024, points=20,
    samples=10, memory_points=2, memory_samples=50, lines=256, length=5, vocabulary=7, embedding=4, recurrent=8,
    decoded=16, maps=4, rungs=1, ladder_batch=16, square=64, training_rounds=2, evaluation_rounds=2, flow_rounds=2,
    settle=0.02, slice=0.05, threads=1, compiled=False,
)  # fmt: skip
"""A smoke test: sizes that say nothing of speed, no compiler."""
