"""What holds for every component, whatever it computes."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from tests.laws.catalogue import COMPONENTS, MODULES, SEEING, Case, Rig, adaptive, generic, slack
from tests.laws.meta import OnMeta

components = pytest.mark.parametrize("case", COMPONENTS, ids=str)
modules = pytest.mark.parametrize("case", MODULES, ids=str)


@components
def test_any_number_of_batch_dimensions_is_a_loop(case: Case) -> None:
    """() and (2, 3) data at once give what one datum at a time gives: to rounding, or to what an adaptive part says."""
    rig, tolerance = case.rig(), 1e-10 + slack(case) * adaptive(case)
    inputs = rig.inputs(2, 3)
    together = rig.run(*inputs)
    for i, j in ((0, 0), (1, 2)):
        alone = rig.run(*(t[i, j] for t in inputs))
        row = rig.run(*(t[i] for t in inputs))
        for all_of_them, one, some in zip(together, alone, row, strict=True):
            assert one.dtype == torch.float64
            assert all_of_them.shape == (2, 3, *one.shape)
            assert_close(all_of_them[i, j], one, rtol=1e-10, atol=tolerance)
            assert_close(some[j], one, rtol=1e-10, atol=tolerance)


@components
def test_what_is_known_once_a_datum_broadcasts_against_samples(case: Case) -> None:
    """An input with batch (B,) beside others with (S, B) is as if repeated S times."""
    rig = case.rig()
    if rig.shared is None or len(rig.events) == 1:
        return
    inputs = list(rig.inputs(2, 3))
    inputs[rig.shared] = inputs[rig.shared][0]
    short = rig.run(*inputs)
    inputs[rig.shared] = inputs[rig.shared].expand(2, *inputs[rig.shared].shape)
    assert_close(short, rig.run(*inputs), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", SEEING, ids=str)
def test_gradients_reach_every_parameter(case: Case) -> None:
    rig = case.rig()
    rig.component.train()
    if list(rig.component.parameters()):
        _scalar(rig.run(*(t.requires_grad_() for t in rig.inputs(7)))).backward()
    for name, parameter in rig.component.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 1e-8, name


@components
def test_extreme_inputs_stay_finite_in_single_precision(case: Case) -> None:
    """Conditions of +-1e4 and points far outside any data: finite values, finite gradients."""
    if _without_bound(case):
        return
    component = case.build()
    rig = case.rig(generic(component).float() if case in MODULES else component)
    for condition, point in ((1e4, 1.0), (1e4, 1e3), (1.0, 1e4)):
        inputs = [t.float() * condition for t in rig.inputs(50)]
        inputs[-1] *= point / condition
        _backward_is_finite(rig, inputs)


def _without_bound(case: Case) -> bool:
    """Whether the density at a given point has conditioning of any size in it, which single precision cannot hold."""
    prior = case.spec if case.kind == "prior" else case.spec.get("prior", {})
    return prior.get("name") == "autoregressive" or (prior.get("family") or {}).get("name") == "full"


@modules
def test_gradients_are_finite_where_every_parameter_is_zero(case: Case) -> None:
    component = case.build()
    for parameter in component.parameters():
        parameter.data.zero_()
    rig = case.rig(component)
    _backward_is_finite(rig, [t.float() for t in rig.inputs(5)])


def _backward_is_finite(rig: Rig, inputs: list[Tensor]) -> None:
    inputs = [t.requires_grad_() for t in inputs]
    outputs = rig.run(*inputs)
    if any(t.requires_grad for t in outputs):
        _scalar(outputs).backward()
    for t in outputs:
        assert torch.isfinite(t).all()
    for t in (*inputs, *(rig.component.parameters() if isinstance(rig.component, torch.nn.Module) else ())):
        assert t.grad is None or torch.isfinite(t.grad).all()


def _scalar(outputs: tuple[Tensor, ...]) -> Tensor:
    """A generic scalar: no symmetry of the outputs can cancel."""
    generator = torch.Generator().manual_seed(5)
    flat = torch.cat([t.double().flatten() for t in outputs])
    return flat @ torch.rand(flat.shape, generator=generator, dtype=torch.float64)


@modules
def test_the_state_says_everything(case: Case) -> None:
    rig = case.rig()
    other = generic(case.build(), seed=9)
    other.load_state_dict(rig.component.state_dict())
    inputs = rig.inputs(4)
    assert_close(case.rig(other).run(*inputs), rig.run(*inputs), rtol=0, atol=0)


@components
def test_a_deep_copy_is_equal_and_independent(case: Case) -> None:
    rig = case.rig()
    inputs = rig.inputs(4)
    before = rig.run(*inputs)
    copy = deepcopy(rig.component)
    if case in MODULES:
        generic(rig.component, seed=9)
    assert_close(case.rig(copy).run(*inputs), before, rtol=0, atol=0)


@components
def test_everything_lives_on_the_device_of_the_inputs(case: Case) -> None:
    torch.distributions.Distribution.set_default_validate_args(False)
    if adaptive(case):
        return  # there is nothing to look at
    component = case.build()
    rig = case.rig(component.to("meta") if case in MODULES else component)
    inputs = [t.float().to("meta") for t in rig.inputs(4)]
    with OnMeta():
        rig.run(*inputs)
