"""Noise that belongs to a datum: whatever else is computed beside it, a datum's draws are the same."""

from collections.abc import Callable
from hashlib import blake2b

import torch
from torch import Tensor

BLOCK = 256
"""Draws of one datum that are made at a time; part of what the numbers are a function of."""


class DatumNoise:
    """Standard-normal noise as a function of (seed, group, datum, draw).

    Every block of ``BLOCK`` draws of a datum in a group has a generator state of its own, hashed from that key: chunks
    of any size are cut from the same blocks. On the CPU and on a GPU the numbers differ.

    >>> noise = DatumNoise(seed=0, samples=200, device="cpu")
    >>> whole = noise(0, range(3), range(200), (2,))
    >>> whole.shape, bool((noise(0, range(1, 2), range(100, 150), (2,)) == whole[100:150, 1:2]).all())
    (torch.Size([200, 3, 2]), True)
    """

    def __init__(self, seed: int, samples: int, device: torch.device | str):
        self.seed = seed
        self.samples = samples
        self.generator = torch.Generator(device)

    def of(self, rows: range) -> Callable[[int, torch.Size], Tensor]:
        """The first draws of data ``rows`` as `FromPosterior` asks for them: by group and ``(S, B, *event)``."""
        return lambda group, shape: self(group, rows, range(shape[0]), tuple(shape[2:]))

    def __call__(self, group: int, rows: range, draws: range, event: tuple[int, ...]) -> Tensor:
        """The noise of data ``rows`` and of their draws ``draws`` in a latent group, ``(S, B, *event)`` float32."""
        noise = torch.empty(len(rows), len(draws), *event, device=self.generator.device)
        for own, row in zip(noise, rows, strict=True):
            for start in range(draws.start - draws.start % BLOCK, draws.stop, BLOCK):
                key = blake2b(b"%d %d %d %d" % (self.seed, group, row, start), digest_size=8)
                self.generator.manual_seed(int.from_bytes(key.digest(), "little"))
                self._fill(own, draws, start)
        return noise.transpose(0, 1).contiguous()

    def _fill(self, own: Tensor, draws: range, start: int) -> None:
        """Write the block that begins at draw ``start`` into ``own``, the noise of one datum for ``draws``."""
        stop = min(start + BLOCK, self.samples)
        if draws.start <= start and stop <= draws.stop:
            own[start - draws.start : stop - draws.start].normal_(generator=self.generator)
        else:
            block = own.new_empty(stop - start, *own.shape[1:]).normal_(generator=self.generator)
            first, last = max(start, draws.start), min(stop, draws.stop)
            own[first - draws.start : last - draws.start] = block[first - start : last - start]
