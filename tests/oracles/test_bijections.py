"""Radial, Sylvester, Householder and linear flows against their papers and against other libraries."""

from collections.abc import Callable

import pytest
import torch
from nflows.transforms.lu import LULinear
from nflows.transforms.orthogonal import HouseholderSequence
from normflows.flows import ActNorm as NormflowsActNorm
from normflows.flows import MaskedAffineFlow, Radial
from torch import Tensor, nn
from torch.distributions import Normal
from torch.testing import assert_close

from flowvae import InputError, registry
from flowvae.distributions import DiagonalNormal, FlowDistribution
from flowvae.flows.sylvester import Form
from flowvae.nn import MADE
from flowvae.transforms import Composed, RadialTransform, Reflected, SylvesterTransform
from flowvae.transforms.roots import increasing_root
from tests.laws.catalogue import generic

DIM = 4
FORMS = ["orthogonal", "householder", "triangular"]


def build(name: str, dim: int = DIM, context: int = 0, **options: object) -> torch.nn.Module:
    return generic(registry.build("flow", {"name": name} | options, (dim,), context))


def points(*batch: int, dim: int = DIM) -> Tensor:
    return torch.randn(*batch, dim, dtype=torch.float64)


def test_radial_is_normflows() -> None:
    theirs = generic(Radial((DIM,)))
    alpha, beta = theirs.alpha.abs(), -theirs.alpha.abs() + torch.log1p(theirs.beta.exp())
    ours, x = RadialTransform(theirs.z_0[0], alpha[0], (alpha + beta)[0]), points(7)
    assert_close(ours.call_and_ladj(x), theirs(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("alpha", "gamma"), [(1.0, 1.0), (1e-3, 1e3), (1e3, 1e-3), (1e-6, 1e-6)])
def test_radial_comes_back_from_near_and_far(alpha: float, gamma: float, dtype: torch.dtype) -> None:
    f = RadialTransform(torch.zeros(DIM, dtype=dtype), torch.tensor(alpha, dtype=dtype), torch.tensor(gamma).to(dtype))
    x = torch.logspace(-4, 4, 9, dtype=dtype)[:, None] * torch.randn(9, DIM, dtype=dtype)
    y, ladj = f.call_and_ladj(x)
    assert torch.isfinite(ladj).all()
    assert_close(f.inv(y), x, rtol=1e-4 if dtype == torch.float32 else 1e-9, atol=0)


def test_radial_moves_its_centre_nowhere_and_has_gradients_there() -> None:
    flow = build("radial", steps=1)
    centre = flow.phi.start.detach()[:DIM].requires_grad_()
    y, ladj = flow().call_and_ladj(centre)
    assert_close(y, centre, rtol=0, atol=0)
    (y.sum() + ladj).backward()
    assert torch.isfinite(centre.grad).all()


def test_householder_is_nflows() -> None:
    flow, theirs = build("householder", steps=3), HouseholderSequence(DIM, 3).double()
    with torch.no_grad():
        theirs.q_vectors.copy_(flow.phi.start.view(3, DIM))
    x = points(7)
    assert_close(flow().call_and_ladj(x), theirs(x), rtol=1e-10, atol=1e-10)
    assert_close(flow().inverse_and_ladj(x), theirs.inverse(x), rtol=1e-10, atol=1e-10)


def test_lu_is_nflows() -> None:
    flow, theirs = build("lu", start="identity"), LULinear(DIM, identity_init=False).double()
    lower, upper = (getattr(flow().parts[0], name).detach() for name in ("lower", "upper"))
    with torch.no_grad():
        theirs.lower_entries.copy_(lower[theirs.lower_indices[0], theirs.lower_indices[1]])
        theirs.upper_entries.copy_(upper[theirs.upper_indices[0], theirs.upper_indices[1]])
        theirs.unconstrained_upper_diag.copy_(torch.log(torch.expm1(upper.diagonal() - theirs.eps)))
        theirs.bias.zero_()
    x = points(7)
    assert_close(flow().call_and_ladj(x), theirs(x), rtol=1e-10, atol=1e-10)
    assert_close(flow().inverse_and_ladj(x), theirs.inverse(x), rtol=1e-8, atol=1e-8)


def test_actnorm_is_normflows() -> None:
    """Started from the same batch (theirs by the unbiased deviation), and with the same weights."""
    ours, theirs, x = build("actnorm"), NormflowsActNorm((DIM,)).double(), 3 + 2 * points(50)
    ours.moments.start_from(x)
    assert_close(ours()(x) * (49 / 50) ** 0.5, theirs(x)[0], rtol=1e-5, atol=1e-5)
    m, s = ours.moments(x)
    theirs.t.data, theirs.s.data = m[None].detach(), s[None].detach()
    y, ladj = ours().call_and_ladj(x)
    assert_close(y, theirs(x)[0], rtol=1e-12, atol=1e-12)
    assert_close(ladj, theirs(x)[1].expand(50), rtol=1e-12, atol=1e-12)
    assert_close(ours().inv(y), theirs.inverse(y)[0], rtol=1e-10, atol=1e-10)


def test_lu_starts_as_a_rotation_or_as_the_identity() -> None:
    for _ in range(5):
        matrix = registry.build("flow", "lu", (DIM,), 0)()(torch.eye(DIM)).mT
        assert_close(matrix @ matrix.mT, torch.eye(DIM), rtol=0, atol=1e-5)
    still = registry.build("flow", {"name": "lu", "start": "identity"}, (DIM,), 0)
    assert_close(still()(torch.eye(DIM)), torch.eye(DIM))


def test_a_permutation_permutes() -> None:
    x = points(7)
    assert_close(build("permutation")()(x), x.flip(-1), rtol=0, atol=0)
    flow = build("permutation", dim=16, form="random")
    assert sorted(flow.order.tolist()) == list(range(16))
    assert flow.order.tolist() != list(range(16))


@pytest.mark.parametrize("context", [0, 3])
@pytest.mark.parametrize("form", FORMS)
def test_sylvester_is_that_of_the_paper(form: Form, context: int) -> None:
    """Its equations 10 to 13: z + Q R h(S Q^T z + b), with det(I + diag(h') S R) for its determinant."""
    flow = build("sylvester", context=context, form=form, steps=2)
    x, h = points(5), torch.randn(5, 3).double()
    expected = flow(h if context else None)(x)
    for part in flow(h if context else None).parts:
        assert isinstance(part, SylvesterTransform)
        q, r, s = part.q, part.r, part.s
        assert_close(q.mT @ q, torch.eye(DIM).double().expand(q.shape), rtol=0, atol=1e-12)
        assert_close((r, s), (r.triu(), s.triu()), rtol=0, atol=0)
        y, ladj = part.call_and_ladj(x)
        t = torch.tanh((s @ q.mT @ x[..., None])[..., 0] + part.b)
        assert_close(y, x + (q @ r @ t[..., None])[..., 0], rtol=1e-10, atol=1e-10)
        small = torch.eye(DIM) + torch.diag_embed(1 - t.square()) @ s @ r
        assert_close(ladj, torch.linalg.slogdet(small)[1], rtol=1e-9, atol=1e-9)
        x = y
    assert_close(y, expected, rtol=0, atol=0)


def test_sylvester_of_few_columns_leaves_the_rest_of_the_space() -> None:
    flow, x = build("sylvester", columns=1, steps=1), points(50)
    moved = flow()(x) - x
    assert torch.linalg.matrix_rank(moved.detach(), rtol=1e-9) == 1
    with pytest.raises(InputError, match="expected at most 4 columns"):
        build("sylvester", columns=5)


@pytest.mark.parametrize("form", ["householder", "triangular"])
def test_sylvester_has_as_many_columns_as_coordinates_in_its_other_forms(form: Form) -> None:
    assert build("sylvester", form=form).columns == DIM
    with pytest.raises(InputError, match=f"expected no columns with form = '{form}', which has {DIM}; got 1: leave"):
        build("sylvester", form=form, columns=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("form", FORMS)
def test_sylvester_is_a_bijection_at_any_size_of_its_parameters(form: Form, dtype: torch.dtype) -> None:
    """Diagonals saturate at 1 less a rounding, so that log |det| stays finite."""
    for size in (1e-3, 1.0, 30.0, 1e4):
        flow = registry.build("flow", {"name": "sylvester", "form": form, "steps": 1}, (DIM,), 0).to(dtype)
        flow.phi.start.data.mul_(100 * size)
        x = points(50).to(dtype)
        x[0] = 0  # where tanh is steepest
        y, ladj = flow().call_and_ladj(x)
        assert torch.isfinite(ladj).all()
        if size <= 1:
            assert_close(flow()(flow().inv(y)), y, rtol=0, atol=1e-4 if dtype == torch.float32 else 1e-9)


@pytest.mark.parametrize("name", ["radial", "sylvester", "planar", "householder"])
def test_shared_parameters_take_no_notice_of_the_context(name: str) -> None:
    flow = build(name, context=3, parameters="shared")
    assert flow.context == 0
    x = points(5)
    assert_close(flow(torch.randn(3).double())(x), flow()(x))
    with pytest.raises(InputError, match="expected a context"):
        build(name, parameters="amortised")


@pytest.mark.parametrize("name", ["householder", "permutation", "realnvp"])
def test_in_one_dimension_nothing_can_turn(name: str) -> None:
    with pytest.raises(InputError, match="got one"):
        build(name, dim=1)


@pytest.mark.parametrize("name", ["radial", "sylvester", "planar", "realnvp", "maf", "actnorm", "spline"])
@pytest.mark.parametrize("context", [0, 64])
def test_a_flow_starts_near_the_identity(name: str, context: int) -> None:
    """Draws of N(0, I) move by less than a quarter of their own size."""
    flow = registry.build("flow", name, (32,), context)
    x = torch.randn(500, 32)
    moved = flow(torch.randn(500, context) if context else None)(x) - x
    assert moved.norm() < 0.25 * x.norm()


def test_matrices_are_not_multiplied_in_half_precision() -> None:
    x = torch.randn(50, 16)
    for name in ("lu", "sylvester"):
        flow = generic(registry.build("flow", name, (16,), 0)).float()
        exact = flow().call_and_ladj(x)
        with torch.autocast("cpu", torch.bfloat16):
            assert_close(flow().call_and_ladj(x), exact, rtol=1e-4, atol=1e-4)


def test_roots_are_found_to_the_last_bit_and_have_gradients() -> None:
    """x + a tanh(x) = y, for a down to a slope of 0: dx/dy = 1 / slope, dx/da = -tanh(x) / slope."""
    y, a = torch.linspace(-5, 5, 21).double().requires_grad_(), torch.linspace(-0.999, 3, 21).double().requires_grad_()
    x = increasing_root(lambda x: (x + a * torch.tanh(x), 1 + a / torch.cosh(x).square()), y, a.abs())
    assert_close(x + a * torch.tanh(x), y, rtol=1e-14, atol=1e-14)
    slope = 1 + a / torch.cosh(x).square()
    by_y, by_a = torch.autograd.grad(x.sum(), (y, a))
    assert_close((by_y, by_a), (1 / slope, -torch.tanh(x) / slope), rtol=1e-9, atol=1e-9)


def test_steps_are_applied_in_order() -> None:
    x, v, w = points(7), points(), points()
    reflected = Reflected(w)(Reflected(v)(x))
    assert_close(Composed([Reflected(v), Reflected(w)])(x), reflected, rtol=1e-12, atol=1e-12)
    assert_close(Reflected(v)(v), -v, rtol=1e-12, atol=1e-12)


class Computed(nn.Module):
    """A function as a module, which normflows asks for."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize("update", ["affine", "additive"])
def test_realnvp_is_normflows(update: str) -> None:
    """Three couplings, their nets in normflows' masked affine flow, one after the other."""
    flow, x = build("realnvp", steps=3, width=8, update=update, bound=2.0), points(7)

    def theirs(t: int) -> MaskedAffineFlow:
        net, kept = flow.nets[t], (torch.arange(DIM) + t) % 2 == 0

        def shift(x: Tensor) -> Tensor:
            return net(x)[..., :DIM]

        def log_scale(x: Tensor) -> Tensor:
            return 2 * torch.tanh(net(x)[..., DIM:] / 2) if update == "affine" else torch.zeros_like(x)

        return MaskedAffineFlow(kept.double(), Computed(shift), Computed(log_scale)).double()

    y, total = x, torch.zeros(7).double()
    for t in range(3):
        y, ladj = theirs(t)(y)
        total = total + ladj
    assert_close(flow().call_and_ladj(x), (y, total), rtol=1e-10, atol=1e-10)


def test_realnvp_mixes_and_normalises_before_every_coupling() -> None:
    flow = build("realnvp", steps=2, mixing=True, actnorm=True)
    kinds = [type(part).__name__ for part in flow().parts]
    assert kinds == ["Standardised", "Composed", "Coupling"] * 2


def test_maf_is_a_chain_of_conditional_normals() -> None:
    """log p(y) = sum_i log N(y_i; -m_i / sigma_i, 1 / sigma_i), with (m, sigma) of y before i."""
    flow, y, h = build("maf", context=3, steps=1, width=12), points(7), torch.randn(7, 3).double()
    (net,) = flow.iaf.nets
    m, s = net(y, h)
    sigma = torch.exp(5 * torch.tanh(s / 5))
    base = DiagonalNormal(torch.zeros(7, DIM).double(), torch.zeros(7, DIM).double())
    expected = Normal(-m / sigma, 1 / sigma).log_prob(y).sum(-1)
    assert_close(FlowDistribution(base, flow(h)).log_prob(y), expected, rtol=1e-10, atol=1e-10)


def test_a_masked_autoregressive_flow_has_the_options_of_its_inverse() -> None:
    """All but the gate, which it has no use for; their defaults too, but for the update."""
    theirs, own = ({option.name: option for option in registry.options("flow", name)} for name in ("iaf", "maf"))
    del theirs["gate_bias"]
    assert own.keys() == theirs.keys()
    assert [name for name in own if own[name] != theirs[name]] == ["update"]


def test_a_masked_autoregressive_flow_inverts_as_it_is_told() -> None:
    iaf = build("maf", width=8, inversion="jacobi", tolerance=0.125).iaf
    assert (iaf.inversion, iaf.tolerance) == ("jacobi", 0.125)


@pytest.mark.parametrize("name", ["maf", "iaf"])
def test_passes_are_what_the_cost_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """T passes of the networks in the fast direction, of which there is no inversion."""
    passes = []
    given = MADE.given
    monkeypatch.setattr(MADE, "given", lambda self, *inputs: passes.append(self) or given(self, *inputs))
    f = build(name, steps=3, width=12)()
    (f.inverse_and_ladj if name == "maf" else f.call_and_ladj)(points(50))
    fast = registry.cost("flow", name)["scoring" if name == "maf" else "drawing"]
    assert (len(passes), fast) == (3, "T passes")
