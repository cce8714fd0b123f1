import numpy as np
import pytest
from forward_tiles import BOXES, LIBRARIES, made_up_tiles
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import qmc

from lensdask.arrays import to_numpy
from lensdask.errors import InputError
from lensdask.lss.forward.model import RELEASED_NON_LINEAR, ForwardModel
from lensdask.lss.forward.samples import Boxes, check_theta, draw_samples, take_tiles, tile_groups
from lensdask.lss.forward.sobol import DIMENSIONS, _points, sobol
from lensdask.lss.parameters import s8

MODEL = ForwardModel(side=3)


def test_sobol_points_are_those_of_scipy() -> None:
    ids = np.arange(1024)
    np.testing.assert_array_equal(
        _points(ids, DIMENSIONS) * 2.0**-52, qmc.Sobol(DIMENSIONS, scramble=False).random(1024)
    )


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**63 - 1), block=st.integers(0, 2**40))
def test_a_shift_keeps_how_evenly_points_lie(seed: int, block: int) -> None:
    # 64 points in sequence: one in each 64th of every axis, one in each eighth by eighth of the first two.
    points = sobol(np.arange(64) + 64 * block, DIMENSIONS, seed)
    assert ((points > 0) & (points < 1)).all()
    for axis in points.T:
        np.testing.assert_array_equal(np.sort((axis * 64).astype(int)), np.arange(64))
    assert len(set(map(tuple, (points[:, :2] * 8).astype(int)))) == 64


def test_samples_are_the_same_in_any_chunk() -> None:
    whole = draw_samples(np.arange(40), BOXES, MODEL, 3)
    for chunk in (np.array([17]), np.array([39, 17, 2])):
        part = draw_samples(chunk, BOXES, MODEL, 3)
        for one, all_ in zip(part, whole, strict=True):
            np.testing.assert_array_equal(one, all_[chunk])
    other = draw_samples(np.arange(40), BOXES, MODEL, 4)
    assert not np.array_equal(other.tile, whole.tile)
    assert not np.array_equal(other.theta, whole.theta)


def test_sample_17_is_the_same_for_ever() -> None:
    # Numbers of the format: another process, machine or version must find them again.
    samples = draw_samples([17], BOXES, MODEL, 3)
    assert samples.box.tolist() == [1]
    assert samples.tile.tolist() == [[5, 4, 8, 0, 1, 3, 7, 2, 6]]
    assert samples.flip.sum(axis=-1).tolist() == [[0, 2, 2, 0, 0, 2, 2, 2, 1]]
    expected = [0.25, 0.82158384, -4.59132782, 1.08298680, 0.90684853, 1.07469890, 2.45022968]
    np.testing.assert_allclose(samples.theta[0], expected, rtol=1e-8)


def test_ids_in_sequence_may_share_a_box() -> None:
    samples = draw_samples(np.arange(64), BOXES, MODEL, 3, share=8)
    np.testing.assert_array_equal(samples.box, np.repeat(samples.box[::8], 8))
    assert len(set(samples.box)) == 3
    np.testing.assert_array_equal(samples.box[:3], draw_samples(np.arange(64), BOXES, MODEL, 3).box[[0, 0, 0]])
    assert len(set(map(tuple, samples.tile))) == 64
    np.testing.assert_array_equal(draw_samples([17], BOXES, MODEL, 3, share=8).box, samples.box[17])


def test_boxes_tiles_and_flips_are_even_and_parameters_in_the_prior() -> None:
    model = ForwardModel(side=3, bias="printed")
    boxes = Boxes(BOXES.omega_m, BOXES.sigma8, 20)
    samples = draw_samples(np.arange(4096), boxes, model, 3)
    np.testing.assert_allclose(np.bincount(samples.box), 4096 / 3, rtol=0.1)
    assert (np.diff(np.sort(samples.tile, axis=1), axis=1) > 0).all()
    for place in samples.tile.T:
        np.testing.assert_allclose(np.bincount(place, minlength=20), 4096 / 20, rtol=0.35)
    np.testing.assert_allclose(samples.flip.mean(axis=0), 0.5, atol=0.05)
    assert abs(np.corrcoef(samples.flip[..., 0].ravel(), samples.flip[..., 1].ravel())[0, 1]) < 0.03
    omega_m = np.asarray(boxes.omega_m)
    np.testing.assert_array_equal(samples.theta[:, 0], omega_m[samples.box])
    np.testing.assert_array_equal(samples.theta[:, 1], s8(omega_m, boxes.sigma8)[samples.box])
    for values, parameter in zip(samples.theta.T[2:], model.prior[2:], strict=True):
        even = (values - parameter.low) / (parameter.high - parameter.low)
        np.testing.assert_array_equal(np.sort((even * 4096).astype(int)), np.arange(4096))


def test_tiles_of_a_mosaic_are_of_one_group() -> None:
    boxes = Boxes([0.3], [0.8], 100)
    assert tile_groups(100, 9) == (32, 3)
    assert tile_groups(1000, 36) == (64, 15)
    assert tile_groups(9, 9) == (32, 1)
    tiles = draw_samples(np.arange(3000), boxes, MODEL, 3).tile
    groups = np.minimum(tiles // 32, 2)
    assert (groups == groups[:, :1]).all()
    np.testing.assert_allclose(np.bincount(groups[:, 0]), 1000, rtol=0.1)
    expected = np.repeat([3000 * 9 / 3 / 32, 3000 * 9 / 3 / 36], [64, 36])
    np.testing.assert_allclose(np.bincount(tiles.ravel(), minlength=100), expected, rtol=0.25)


def test_fixed_parameters() -> None:
    boxes = Boxes([0.2915], [0.7835], 36)
    theta = draw_samples([5, 6], boxes, RELEASED_NON_LINEAR, 0, RELEASED_NON_LINEAR.fiducial).theta
    np.testing.assert_allclose(theta, [[parameter.fiducial for parameter in RELEASED_NON_LINEAR.prior]] * 2)
    part = draw_samples([5], BOXES, MODEL, 0, {"a_ia": 0.0})
    free = draw_samples([5], BOXES, MODEL, 0)
    assert part.theta[0, 2] == 0
    np.testing.assert_array_equal(np.delete(part.theta, 2, axis=1), np.delete(free.theta, 2, axis=1))


@pytest.mark.parametrize("library", LIBRARIES)
def test_tiles_of_a_sample(library: str) -> None:
    tiles = made_up_tiles()
    samples = draw_samples([17, 4], BOXES, MODEL, 3)
    taken = to_numpy(take_tiles(LIBRARIES[library](tiles), samples))
    assert taken.shape == (2, 3, 4, 9, 16, 16)
    for sample in range(2):
        for place in range(9):
            expected = tiles[samples.box[sample], samples.tile[sample, place]]
            for axis in (0, 1):
                if samples.flip[sample, place, axis]:
                    expected = np.flip(expected, axis=axis - 2)
            np.testing.assert_array_equal(taken[sample, :, :, place], expected)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Boxes([0.3], [0.8, 0.9], 40), "expected .box,. for both"),
        (lambda: Boxes([], [], 40), "expected .box,. for both"),
        (lambda: Boxes([0.3], [0.8], 0), "tiles of a box: 0"),
        (lambda: draw_samples([1], BOXES, ForwardModel(), 0), "tiles of a box: 9; expected 36 at least"),
        (lambda: draw_samples([1], BOXES, MODEL, 0, {"s8": 0.8}), "fixed parameter: 's8'; expected one of a_ia"),
        (lambda: draw_samples([1], BOXES, MODEL, 0, {"b_g": 9.0}), "b_g: 9; expected a number from 0.5 to 2.5"),
        (lambda: draw_samples([1], Boxes([0.9], [0.8], 9), MODEL, 0), "omega_m: 0.9"),
        (lambda: draw_samples([], BOXES, MODEL, 0), "ids: shape"),
        (lambda: draw_samples([1.5], BOXES, MODEL, 0), "expected .sample,., whole numbers"),
        (lambda: draw_samples([-1], BOXES, MODEL, 0), "id of a sample: -1"),
        (lambda: draw_samples([1], BOXES, MODEL, -1), "seed: -1"),
        (lambda: draw_samples([1], BOXES, MODEL, 0, share=0), "share: 0"),
        (lambda: check_theta(np.full((1, 7), np.nan), MODEL), "omega_m: nan"),
        (lambda: check_theta(np.zeros((1, 9)), MODEL), r"expected .sample, 7."),
        (lambda: take_tiles(made_up_tiles()[:, :, :2], draw_samples([1], BOXES, MODEL, 0)), "expected .box, tile, 3"),
        (lambda: take_tiles(made_up_tiles(tiles=8), draw_samples([1], BOXES, MODEL, 0)), "at least"),
    ],
)
def test_bad_input_is_named_in_one_line(call, words: str) -> None:
    with pytest.raises(InputError, match=words) as raised:
        call()
    assert "\n" not in str(raised.value)
