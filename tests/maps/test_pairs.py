import numpy as np
import pytest

from lensdask.errors import InputError
from lensdask.maps.statistics.pairs import CELLS, PAIR_STATISTICS, close_pairs, pair_frames, pair_statistics
from lensdask.maps.statistics.peaks import Peaks


def places(field, y, x, height=None):
    columns = [np.asarray(v, dtype=float) for v in (y, x, height if height is not None else np.ones(len(y)))]
    return Peaks(np.asarray(field, dtype=np.int64), *columns)


FIRST, SECOND = places([0, 1], [80, 60], [60, 100]), places([0, 1], [80, 100], [110, 130])


def drawn(bridge=0.0, heights=(0.3, 0.2)):
    """Draw two fields with a pair of round haloes each, 50 pixels apart, and matter on the line between them."""
    maps = np.zeros((2, 161, 181))
    y, x = np.mgrid[:161, :181]
    for field in range(2):
        ends = [(p.y[field], p.x[field]) for p in (FIRST, SECOND)]
        for height, (row, column) in zip(heights, ends, strict=True):
            maps[field] += height * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * 6.0**2))
        (y0, x0), (y1, x1) = ends
        u = ((y - y0) * (y1 - y0) + (x - x0) * (x1 - x0)) / 50**2 - 0.5
        v = ((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) / 50**2
        maps[field] += bridge * (np.abs(u) < 0.5) * (np.abs(v) < 0.25)
    return maps


def test_frames_put_the_two_at_a_half():
    maps = drawn()
    frames = pair_frames(maps, FIRST, SECOND)
    middle, left, right = frames.shape[1] // 2, CELLS, 2 * CELLS
    means = maps.mean(axis=(1, 2))
    np.testing.assert_allclose(frames[:, middle, left] + means, 0.3, rtol=1e-6)
    np.testing.assert_allclose(frames[:, middle, right] + means, 0.2, rtol=1e-6)
    # The second pair is turned by an angle whose cosine is 0.6: between pixels it is interpolated.
    np.testing.assert_allclose(frames[0] + means[0], frames[1] + means[1], atol=2e-3)


def test_round_haloes_alone_have_no_bridge_and_a_bridge_is_its_height():
    for height in (0.0, 0.05):
        found = pair_statistics(pair_frames(drawn(height) + 0.7, FIRST, SECOND))
        mean = drawn(height).mean(axis=(1, 2))
        bridge, middle = found[:, PAIR_STATISTICS.index("bridge")], found[:, PAIR_STATISTICS.index("middle")]
        # The mean of the map is taken off once between the two, and twice beyond them.
        np.testing.assert_allclose(bridge, height + mean, atol=2e-3)
        np.testing.assert_allclose(middle, height - mean, atol=3e-3)
        assert (found[:, 0] > found[:, 1]).all()


def test_statistics_of_the_mean_frame_are_the_mean_of_statistics():
    frames = pair_frames(drawn(0.03), FIRST, SECOND)
    np.testing.assert_allclose(pair_statistics(frames.mean(axis=0)), pair_statistics(frames).mean(axis=0))


def test_what_lies_beyond_the_footprint_is_nan():
    mask = np.ones((2, 161, 181))
    mask[0, :, 100:] = 0
    found = pair_statistics(pair_frames(drawn(), FIRST, SECOND, mask))
    assert np.isnan(found[0]).tolist() == [False, True, False, True]
    assert np.isfinite(found[1]).all()


def test_close_pairs():
    found = places([0, 0, 0, 1, 1], [0, 0, 30, 0, 0], [0, 10, 0, 0, 11], [1, 2, 3, 4, 3])
    first, second = close_pairs(found, (5, 20))
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [(1, 0), (3, 4)]
    assert [len(rows) for rows in close_pairs(found, (100, 200))] == [0, 0]
    nothing = places([], [], [])
    assert [len(rows) for rows in close_pairs(nothing, (5, 20))] == [0, 0]


@pytest.mark.parametrize("second", [FIRST, places([1, 0], [80, 90], [110, 130])])
def test_pair_needs_two_places_in_one_map(second):
    with pytest.raises(InputError, match="pair 0"):
        pair_frames(drawn(), FIRST, second)
