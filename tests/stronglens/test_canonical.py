"""In canonical coordinates transformations are shifts; turns and mirrors of images are those of log-polar maps."""

import pytest
import torch

from lensdask.errors import InputError
from lensdask.stronglens.layers.canonical import (
    CHARTS,
    four_quarters,
    log_polar,
    log_polar_quarter,
    pad_angle,
    projective,
    resampled,
)
from lensdask.stronglens.layers.log_polar import MirrorBlock, MirrorConv
from lensdask.stronglens.layers.pose import PosePredictor, PoseSequence

DOUBLE = torch.float64


def random(*shape):
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(1))


def matrix_of(name, theta):
    theta = torch.tensor([theta], dtype=DOUBLE)
    elements = CHARTS[name].matrix(theta, torch.ones_like(theta), torch.zeros_like(theta))
    return torch.stack(elements, 1).unflatten(1, (3, 3))


@pytest.mark.parametrize("name", CHARTS)
def test_a_transformation_is_a_shift(name):
    chart, theta = CHARTS[name], 0.05
    u, v = (torch.tensor(values, dtype=DOUBLE) for values in ([0.6, -0.5, 0.4], [0.3, -0.2, 0.1]))
    if chart.along == "u":
        u = 4 * u
    moved = projective(torch.stack(chart.places(u, v), -1)[None], matrix_of(name, theta))[0, 0]
    shifted = (u + theta, v) if chart.along == "u" else (u, v + theta)
    torch.testing.assert_close(moved, torch.stack(chart.places(*shifted), -1))


@pytest.mark.parametrize("name", CHARTS)
def test_charts_reach_both_sides(name):
    grid = CHARTS[name].grid(8)
    assert grid.shape == (8, 8, 2)
    assert torch.isfinite(grid).all()
    torch.testing.assert_close(grid.flatten(0, 1).mean(0), torch.zeros(2, dtype=DOUBLE))


def test_places_count_from_edge_to_edge():
    image = random(1, 1, 4, 4)
    along = (torch.arange(4, dtype=DOUBLE) * 2 + 1) / 4 - 1
    grid = torch.stack(torch.meshgrid(along, along, indexing="xy"), 2)
    torch.testing.assert_close(resampled(image, grid), image)


def test_a_quarter_turn_is_a_shift_to_the_bit():
    image, quarter = random(2, 1, 16, 16).float(), log_polar_quarter(32, 8, 0.1, 1.0).float()
    maps = log_polar(image, quarter)
    assert maps.shape == (2, 1, 32, 8)
    assert torch.equal(log_polar(torch.rot90(image, 1, (-1, -2)), quarter), maps.roll(8, 2))
    torch.testing.assert_close(maps, resampled(image, four_quarters(quarter)))
    torch.testing.assert_close(log_polar(image.flip(-2), quarter), maps.flip(2))


def test_log_polar_maps_are_of_radius_and_angle():
    along = torch.arange(64, dtype=DOUBLE) - 31.5
    y, x = torch.meshgrid(along, along, indexing="ij")
    maps = log_polar(torch.stack((torch.hypot(x, y), x, y))[None], log_polar_quarter(32, 6, 0.25, 0.75))[0]
    radius = 32 * 0.25 * 3 ** ((torch.arange(6, dtype=DOUBLE) + 0.5) / 6)
    angle = (torch.arange(32, dtype=DOUBLE) + 0.5) * torch.pi / 16
    torch.testing.assert_close(maps[0], radius.expand(32, 6), atol=0.02, rtol=0)
    torch.testing.assert_close(torch.atan2(maps[2], maps[1]) % (2 * torch.pi), angle[:, None].expand(32, 6))


def test_angles_are_a_multiple_of_four():
    with pytest.raises(InputError, match="angles"):
        log_polar_quarter(30, 8, 0.1, 1.0)


def test_padding_is_periodic_in_angle():
    padded = pad_angle(torch.arange(6.0).view(1, 1, 3, 2), 1)[0, 0]
    assert padded.tolist() == [[4, 4, 5, 5], [0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5], [0, 0, 1, 1]]


def mirrored(fields):
    return fields.flip(2, 3)


def test_log_polar_layers_turn_and_mirror():
    torch.manual_seed(0)
    first, block = MirrorConv(1, 2, 5, lifting=True).double(), MirrorBlock(2, 3).double()
    maps = random(2, 1, 8, 6)
    fields = first(maps)
    assert fields.shape == (2, 2, 2, 8, 6)
    torch.testing.assert_close(first(maps.roll(3, 2)), fields.roll(3, 3))
    torch.testing.assert_close(first(maps.flip(2)), mirrored(fields))
    torch.testing.assert_close(block(fields.roll(3, 3)), block(fields).roll(3, 3))
    torch.testing.assert_close(block(mirrored(fields)), mirrored(block(fields)))


@pytest.mark.parametrize("name", CHARTS)
def test_poses_start_at_none(name):
    predictor = PosePredictor(name, 1, 2, 8).double()
    whole = predictor(random(3, 1, 16, 16), torch.eye(3, dtype=DOUBLE).expand(3, 3, 3))
    torch.testing.assert_close(whole, torch.eye(3, dtype=DOUBLE).expand(3, 3, 3))


def test_a_pose_follows_the_image():
    # Narrow in shear: a bar along x / y = v, whose predicted shear must grow as the bar is sheared.
    torch.manual_seed(1)
    predictor = PosePredictor("shear_x", 1, 2, 64).double()
    torch.nn.init.normal_(predictor.score.weight)
    along = torch.arange(64, dtype=DOUBLE) / 32 - 63 / 64
    y, x = torch.meshgrid(along, along, indexing="ij")
    bars = torch.stack([torch.exp(-(((x - shear * y) / 0.1) ** 2)) for shear in (-1.25, 0.0, 1.25)])[:, None]
    found = predictor(bars, torch.eye(3, dtype=DOUBLE).expand(3, 3, 3))[:, 0, 1].detach()
    sheared = found[0] - found[1], found[1] - found[2]
    assert sheared[0].sign() == sheared[1].sign()


def test_gradients():
    torch.manual_seed(2)
    poses = PoseSequence(("shear_x", "perspective_y"), 1, 1, 8).double()
    for predictor in poses.predictors:
        torch.nn.init.normal_(predictor.score.weight)
    convolution = MirrorConv(1, 1, 3).double()
    names, values = zip(*poses.named_parameters(), strict=True)

    def output(*weights):
        return torch.func.functional_call(poses, dict(zip(names, weights, strict=True)), (random(2, 1, 8, 8),))

    assert torch.autograd.gradcheck(output, [value.detach().requires_grad_() for value in values])
    assert torch.autograd.gradcheck(convolution, random(1, 1, 2, 4, 3).requires_grad_())
