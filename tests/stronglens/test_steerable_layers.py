"""Layers turn with the image: exactly by quarters, and their filters at every angle."""

import math

import pytest
import torch

from lensdask.errors import InputError
from lensdask.stronglens.layers.circular_harmonics import filter_harmonics, ring_profiles, sampled
from lensdask.stronglens.layers.orders import MagnitudeNorm, OrderConv, magnitudes
from lensdask.stronglens.layers.regular import RegularBatchNorm, RegularConv, TurnGroup, pool_group

DOUBLE = torch.float64


def random(*shape):
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))


def quarter(maps, turns=1):
    return torch.rot90(maps, turns, (-1, -2))


@pytest.fixture(autouse=True)
def _double():
    """Let layers be of double precision, filters included."""
    torch.manual_seed(0)
    torch.set_default_dtype(DOUBLE)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(("kernel", "count"), [(1, 1), (3, 6), (5, 11), (7, 20)])
def test_functions_of_a_filter(kernel, count):
    harmonics = filter_harmonics(kernel)
    functions = sampled(harmonics, kernel).flatten(1)
    assert len(set(harmonics)) == len(functions) == count
    # Independent functions of about unit norm: no more than pixels can tell apart.
    assert torch.linalg.matrix_rank(functions) == count
    assert (functions.norm(dim=1) - 1).abs().max() < 0.5


@pytest.mark.parametrize("kernel", [0, 4, -3])
def test_kernels_are_odd(kernel):
    with pytest.raises(InputError, match="kernel"):
        filter_harmonics(kernel)


def test_turned_and_mirrored_functions_are_turned_and_mirrored_arrays():
    harmonics = filter_harmonics(7)
    plain = sampled(harmonics, 7)
    torch.testing.assert_close(sampled(harmonics, 7, math.pi / 2), quarter(plain))
    torch.testing.assert_close(sampled(harmonics, 7, mirror=True), plain.flip(-2))
    torch.testing.assert_close(sampled(harmonics, 7, math.pi / 2, mirror=True), quarter(plain.flip(-2)))


def test_a_turn_is_a_phase():
    harmonics = filter_harmonics(5)[4:6]
    assert [(one.ring, one.order, one.sine) for one in harmonics] == [(1, 2, False), (1, 2, True)]
    cosine, sine = sampled(harmonics, 5)
    turned = sampled(harmonics, 5, 0.3)[0]
    torch.testing.assert_close(turned, math.cos(0.6) * cosine + math.sin(0.6) * sine)


def test_rings_have_no_angle_at_the_centre():
    rings = ring_profiles(5)
    assert rings[0, 0, 2, 2] > 0.5
    assert not rings[1, :, 2, 2].any()
    assert not rings[1, 0].any()


@pytest.mark.parametrize("group", [TurnGroup(8), TurnGroup(4, True), TurnGroup(3, True)])
def test_relative_elements_are_those_of_matrices(group):
    def matrix(g):
        angle = 2 * math.pi * (g % group.turns) / group.turns
        turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        return turn @ torch.diag(torch.tensor([1.0, -1.0 if g >= group.turns else 1.0]))

    relative = group.relative()
    for g in range(group.order):
        for h in range(group.order):
            torch.testing.assert_close(matrix(g) @ matrix(int(relative[g, h])), matrix(h))


def turned_fields(fields, group):
    """Return fields of a turned image: maps turned, and those of each mirror passed on by a quarter of the turns."""
    parts = quarter(fields).split(group.turns, 2)
    return torch.cat([part.roll(group.turns // 4, 2) for part in parts], 2)


@pytest.mark.parametrize("group", [TurnGroup(8), TurnGroup(4, True)])
def test_regular_fields_turn_with_the_image(group):
    first = RegularConv(group, 1, 2, 5, lifting=True)
    second = torch.nn.Sequential(RegularConv(group, 2, 3, 3), RegularBatchNorm(3), torch.nn.AvgPool3d((1, 2, 2)))
    image = random(2, 1, 8, 8)
    fields = first(image)
    assert fields.shape == (2, 2, group.order, 8, 8)
    torch.testing.assert_close(first(quarter(image)), turned_fields(fields, group))
    torch.testing.assert_close(second(turned_fields(fields, group)), turned_fields(second(fields), group))
    torch.testing.assert_close(pool_group(turned_fields(fields, group)), quarter(pool_group(fields)))


def test_regular_fields_of_a_mirrored_image():
    group = TurnGroup(4, True)
    layers = torch.nn.Sequential(RegularConv(group, 1, 2, 5, lifting=True), RegularConv(group, 2, 3, 3))
    image = random(1, 1, 8, 8)
    mirrored = pool_group(layers(image.flip(-2)))
    torch.testing.assert_close(mirrored, pool_group(layers(image)).flip(-2))


def test_numbers_of_weights():
    assert RegularConv(TurnGroup(8), 2, 3, 5).weight.shape == (3, 2, 8, 11)
    assert RegularConv(TurnGroup(8), 1, 3, 7, lifting=True).weight.shape == (3, 1, 1, 20)
    assert sum(p.numel() for p in OrderConv(2, 3, 5).parameters()) == 3 * 2 * 2 * 2 * (3 + 1)


def test_filters_are_kept_until_weights_change():
    layer = RegularConv(TurnGroup(4), 1, 1, 3, lifting=True).float()
    with torch.no_grad():
        kept = layer.filters()
        assert layer.filters() is kept
        layer.weight.mul_(2)
        torch.testing.assert_close(layer.filters(), 2 * kept)
        layer.load_state_dict({"weight": layer.weight / 4})
        torch.testing.assert_close(layer.filters(), kept / 2)
    assert layer.filters().requires_grad
    with torch.no_grad():
        assert layer.double().filters().dtype is DOUBLE


def test_kept_filters_do_not_depend_on_half_precision():
    layer = RegularConv(TurnGroup(4), 1, 1, 3, lifting=True).float()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer.filters().dtype is torch.float32


def turned_features(features):
    """Return features of a turned image: maps turned, order 0 as it was, order 1 times i."""
    re0, im0, re1, im1 = quarter(features).unbind(2)
    return torch.stack((re0, im0, -im1, re1), 2)


def test_orders_turn_with_the_image():
    first, second, norm = (
        OrderConv(1, 2, 5, lifting=True),
        OrderConv(2, 3, 3),
        MagnitudeNorm(2),
    )
    image = random(2, 1, 8, 8)
    features = first(image)
    assert features.shape == (2, 2, 4, 8, 8)
    torch.testing.assert_close(first(quarter(image)), turned_features(features))
    torch.testing.assert_close(second(turned_features(features)), turned_features(second(features)))
    torch.testing.assert_close(norm(turned_features(features)), turned_features(norm(features)))
    torch.testing.assert_close(magnitudes(turned_features(features)), quarter(magnitudes(features)))


def test_filters_of_orders_are_complex_products():
    layer = OrderConv(1, 1, 3)
    filters = layer.filters().detach()[0, :, 0]
    for after in range(2):
        for before in range(2):
            block = filters[2 * after : 2 * after + 2, 2 * before : 2 * before + 2]
            torch.testing.assert_close(block[1, 1], block[0, 0])
            torch.testing.assert_close(block[0, 1], -block[1, 0])


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: RegularConv(TurnGroup(4, True), 1, 2, 3, lifting=True), (1, 1, 4, 4)),
        (lambda: RegularConv(TurnGroup(4), 1, 2, 3), (1, 1, 4, 4, 4)),
        (lambda: OrderConv(1, 2, 3, lifting=True), (1, 1, 4, 4)),
        (lambda: OrderConv(2, 1, 3), (1, 2, 4, 4, 4)),
        (lambda: MagnitudeNorm(1), (2, 1, 4, 2, 2)),
    ],
)
def test_gradients(layer, shape):
    module = layer()
    names, values = zip(*module.named_parameters(), strict=True)

    def output(x, *weights):
        return torch.func.functional_call(module, dict(zip(names, weights, strict=True)), (x,))

    inputs = (random(*shape).requires_grad_(), *(value.detach().requires_grad_() for value in values))
    assert torch.autograd.gradcheck(output, inputs)
