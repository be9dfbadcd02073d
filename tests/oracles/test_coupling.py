"""A coupling moves what is not kept, by parameters that what is kept decides, and never runs backwards."""

import torch
from torch import Tensor, nn
from torch.autograd.functional import jacobian
from torch.testing import assert_close

from flowvae.transforms import Affine, Coupling, Inverse, Transform

KEPT = torch.tensor([True, False, False, True])


def coupling(net: nn.Module | None = None) -> Coupling:
    torch.manual_seed(0)
    net = net or nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8)).double()
    return Coupling(lambda x: net(x).chunk(2, -1), Affine(), KEPT)


def test_what_is_kept_alone_decides_what_happens_to_the_rest() -> None:
    """The Jacobian: the identity on what is kept, diagonal on what moves, and dense from the one to the other."""
    x = torch.randn(4, dtype=torch.float64)
    derivative = jacobian(coupling(), x)
    assert torch.equal(derivative[KEPT], torch.eye(4, dtype=torch.float64)[KEPT])
    moved = derivative[~KEPT]
    assert (moved[:, KEPT] != 0).all()
    assert torch.equal(moved[:, ~KEPT] != 0, torch.eye(2).bool())


def test_both_directions_are_one_pass_with_their_determinants() -> None:
    passes = []

    class Counting(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            passes.append(len(x))
            return super().forward(x)

    f, x = coupling(Counting(4, 8).double()), torch.randn(5, 4, dtype=torch.float64)
    y, ladj = f.call_and_ladj(x)
    back, back_ladj = f.inverse_and_ladj(y)
    assert passes == [5, 5]
    assert_close((back, back_ladj), (x, -ladj), rtol=1e-10, atol=1e-10)


def test_scoring_through_an_inverse_runs_the_map_once() -> None:
    """log |det| of the way back through f^-1 is that of f, which needs no inversion of f."""

    class OneWay(Transform):
        def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return 2 * x, x.new_full(x.shape[:-1], x.shape[-1] * 2.0).log()

    x = torch.randn(5, 4)
    assert_close(Inverse(OneWay()).inverse_and_ladj(x), OneWay().call_and_ladj(x))
