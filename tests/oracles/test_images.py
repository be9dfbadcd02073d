"""Residual networks, weight normalisation and their start from data."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import elu, interpolate
from torch.testing import assert_close

from flowvae import InputError, build_model, registry
from flowvae.nn import starting
from flowvae.nn.normed import Normed, NormedConv, NormedLinear, NormedTranspose
from flowvae.nn.residual import double, half, halved, same

LAYERS = {
    "linear": lambda spread: (NormedLinear(5, 7, spread), (64, 5)),
    "conv": lambda spread: (NormedConv(3, 7, 3, spread=spread), (16, 3, 6, 5)),
    "strided": lambda spread: (NormedConv(3, 7, 3, stride=2, spread=spread), (16, 3, 6, 5)),
    "transposed": lambda spread: (NormedTranspose(3, 7, (6, 5), spread=spread), (16, 3, 3, 3)),
}


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("spread", [1.0, 0.1])
def test_a_layer_that_starts_from_data_has_their_mean_and_spread(kind: str, spread: float) -> None:
    """Every output has mean 0 and the standard deviation asked for, whatever comes in."""
    layer, shape = LAYERS[kind](spread)
    x = 3 * torch.randn(shape) + 2
    layer.start_from(x)
    y = layer(x).transpose(0, 1).flatten(1)
    assert_close(y.mean(1), torch.zeros(7), rtol=0, atol=1e-5)
    assert_close(y.std(1, correction=0), torch.full((7,), spread), rtol=1e-4, atol=0)


def test_what_does_not_vary_keeps_its_gain() -> None:
    layer = NormedLinear(5, 7)
    before = layer.gain.clone()
    layer.start_from(torch.ones(64, 5))
    assert_close(layer.gain, before, rtol=0, atol=0)
    assert_close(layer(torch.ones(5)), torch.zeros(7), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", LAYERS)
def test_gain_is_the_length_of_every_weight_vector(kind: str) -> None:
    layer, _ = LAYERS[kind](1.0)
    axis = 1 if kind == "transposed" else 0
    with torch.no_grad():
        layer.gain.copy_(torch.arange(7) + 1.0)
    lengths = layer.weight.transpose(0, axis).flatten(1).norm(dim=1)
    assert_close(lengths, layer.gain, rtol=1e-5, atol=0)


def test_a_new_layer_is_torchs() -> None:
    torch.manual_seed(3)
    ours, x = NormedTranspose(3, 4, (6, 5)), torch.randn(2, 3, 3, 3)
    torch.manual_seed(3)
    theirs = nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=(1, 0))
    assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)
    torch.manual_seed(3)
    strided = NormedConv(3, 4, 3, stride=2)
    torch.manual_seed(3)
    assert_close(strided(x), nn.Conv2d(3, 4, 3, stride=2, padding=1)(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(28, 28), (7, 7), (5, 8), (1, 1)])
@pytest.mark.parametrize("nearest", [True, False])
def test_a_size_that_is_halved_is_found_again(size: tuple[int, int], nearest: bool) -> None:
    x = torch.randn(2, 3, *size)
    small = half(3, 4)(x)
    assert small.shape == (2, 4, *halved(size))
    assert double(4, 3, size, nearest)(small).shape == x.shape


@pytest.mark.parametrize("nearest", [True, False])
def test_maps_grow_by_repetition_where_that_is_asked_for(nearest: bool) -> None:
    """Behind a kernel of one pixel the four pixels of a cell are alike; a transposed one fills but the first."""
    decoder = registry.build("decoder", {"name": "resnet", "channels": 4, "nearest": nearest}, (5,), (1, 8, 8))
    for block, shape in ((0, (8, 1, 1)), (2, (8, 2, 2)), (4, (4, 4, 4))):
        y = decoder.blocks[block].shortcut(torch.randn(2, *shape))
        alike = torch.equal(interpolate(y[..., ::2, ::2], scale_factor=2, mode="nearest"), y)
        assert alike == nearest


@pytest.mark.parametrize("nearest", [True, False])
def test_parameters_of_a_likelihood_start_near_where_they_are_centred(nearest: bool) -> None:
    """Two parts that vary by 0.1 around 0, beside the mean of phi: a pixel's range is 1."""
    decoder = registry.build("decoder", {"name": "resnet", "channels": 4, "nearest": nearest}, (5,), (3, 8, 8))
    phi = torch.rand(3, 8, 8)
    decoder.centre(phi)
    with starting(decoder):
        y = decoder(torch.randn(200, 5)) - phi.mean((1, 2), keepdim=True)
    spread, mean = torch.std_mean(y, (0, 2, 3))
    assert_close(mean, torch.zeros(3), rtol=0, atol=1e-5)
    assert ((spread > 0.05) & (spread < 0.2)).all()


def test_repeated_pixels_are_the_nearest() -> None:
    decoder = registry.build("decoder", {"name": "upsample", "kernel": 1}, (2, 2, 3), (1, 4, 6)).double()
    z = torch.randn(5, 2, 2, 3, dtype=torch.float64)
    at_once = decoder(z)
    each = Tensor(at_once[:, :, ::2, ::2])
    assert_close(interpolate(each, scale_factor=2, mode="nearest"), at_once, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["encoder", "decoder"])
def test_another_size_is_refused(name: str) -> None:
    shapes = {"encoder": ((1, 6, 8),), "decoder": ((3,), (1, 6, 8))}
    with pytest.raises(InputError, match=r"expected images \(C, H, W\) with H and W divisible by 4; got \(1, 6, 8\)"):
        registry.build(name, "resnet", *shapes[name])


@pytest.mark.parametrize("step", [1.0, 0.1])
def test_a_block_adds_what_two_convolutions_say(step: float) -> None:
    x = torch.randn(2, 3, 4, 4)
    block = same(3, step)
    assert_close(block(x), x + step * block.conv(elu(block.change(elu(x)))), rtol=1e-6, atol=1e-6)
    block = half(3, 5, step)
    assert_close(block(x), block.shortcut(x) + step * block.conv(elu(block.change(elu(x)))), rtol=1e-6, atol=1e-6)


def test_features_are_units_behind_the_blocks() -> None:
    encoder = registry.build("encoder", {"name": "resnet", "channels": 2, "features": 6}, (1, 8, 8))
    x = torch.randn(3, 1, 8, 8)
    assert_close(encoder(x), elu(encoder.dense(elu(encoder.blocks(x)).flatten(1))))


def test_the_path_up_takes_steps_of_the_size_asked_for() -> None:
    encoder = registry.build("encoder", {"name": "bottom_up", "width": 4, "depths": [2, 1], "step": 0.1}, (1, 8, 8))
    assert [block.step for layers in encoder.blocks for block in layers] == [0.1] * 3


def test_the_networks_are_those_of_the_paper() -> None:
    """16, 32, 32 channels and 450 units at 28 x 28: 4 x 4 x 32 = 512 numbers between maps and units."""
    model = build_model({"encoder": "resnet", "likelihood": {"decoder": {"name": "resnet"}}}, (1, 28, 28))
    assert model.encoder.dense.direction.shape == (450, 512)
    assert model.likelihood.decoder.units.direction.shape == (450, 32)
    assert model.likelihood.decoder.dense.direction.shape == (512, 450)
    kernels = [tuple(m.direction.shape[:2]) for m in model.encoder.blocks.modules() if isinstance(m, Normed)]
    assert kernels[:3] == [(16, 1), (16, 16), (16, 1)]
    assert {out for out, _ in kernels} == {16, 32}
