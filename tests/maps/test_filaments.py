import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from lensdask.errors import InputError
from lensdask.maps.statistics.filaments import find_filaments, persistence_pairs, share_near


def rough(seed, shape=(24, 30), sigma=1.0):
    """Draw a smoothed field of white noise: no two pixels alike."""
    return gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)


def flooded(kappa, inside):
    """Lower the threshold pixel by pixel: {maximum: saddle} by the elder rule, with a list of regions."""
    region = {}
    members = {}
    ends = {}
    for y, x in sorted(zip(*np.nonzero(inside), strict=True), key=lambda place: -kappa[place]):
        around = {region[y + dy, x + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (y + dy, x + dx) in region}
        tops = sorted(around, key=lambda place: -kappa[place])
        top = tops[0] if tops else (y, x)
        for younger in tops[1:]:
            ends[younger] = (y, x)
            for place in members.pop(younger):
                region[place] = top
                members[top].append(place)
        region[y, x] = top
        members.setdefault(top, []).append((y, x))
    return ends, set(members)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), sigma=st.floats(0.3, 2.5), holes=st.floats(0, 0.4))
def test_pairs_are_those_of_a_falling_threshold(seed, sigma, holes):
    kappa = rough(seed, (17, 21), sigma)
    inside = np.random.default_rng(seed).uniform(size=kappa.shape) >= holes
    found = persistence_pairs(np.where(inside, kappa, np.nan), inside)
    ends, endless = flooded(kappa, inside)
    rows = list(zip(map(tuple, found.maximum.tolist()), map(tuple, found.saddle.tolist()), strict=True))
    assert {top for top, end in rows if end == (-1, -1)} == endless
    assert {top: end for top, end in rows if end != (-1, -1)} == ends
    finite = np.isfinite(found.persistence)
    expected = [kappa[top] - kappa[end] for top, end in rows if end != (-1, -1)]
    np.testing.assert_allclose(found.persistence[finite], expected, rtol=1e-12)
    assert (np.diff(found.persistence[finite]) <= 0).all()


def test_pairs_are_those_of_gudhi():
    gudhi = pytest.importorskip("gudhi")
    kappa = rough(3, (128, 96), 1.5)
    cubes = gudhi.CubicalComplex(top_dimensional_cells=-kappa)
    cubes.compute_persistence(min_persistence=0)
    regular, essential = cubes.cofaces_of_persistence_pairs()
    # Gudhi numbers pixels along columns.
    places = [tuple(np.unravel_index(cells, kappa.shape, order="F")) for cells in regular[0].T]
    theirs = {(int(y), int(x)): (int(v), int(u)) for (y, x, v, u) in zip(*places[0], *places[1], strict=True)}
    found = persistence_pairs(kappa)
    ours = dict(zip(map(tuple, found.maximum.tolist()), map(tuple, found.saddle.tolist()), strict=True))
    top = np.unravel_index(essential[0][0], kappa.shape, order="F")
    assert ours.pop((int(top[0]), int(top[1]))) == (-1, -1)
    assert len(ours) > 100
    assert ours == theirs


def ridge(heights=(1.0, 0.8), sag=6.0, shape=(60, 90)):
    """Draw two clusters with a curved ridge between them: y(x) is a parabola of that sag."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    left, right, level = 15, 75, 25
    middle = level + sag * (1 - ((x - 45) / 30) ** 2)
    along = (x >= left) & (x <= right)
    kappa = 0.3 * np.exp(-((y - middle) ** 2) / (2 * 2.0**2)) * along
    for height, column in zip(heights, (left, right), strict=True):
        kappa = kappa + height * np.exp(-((y - level) ** 2 + (x - column) ** 2) / (2 * 3.0**2))
    return kappa, middle[0]


def test_filament_follows_the_ridge_between_two_clusters():
    kappa, middle = ridge()
    (arc,) = find_filaments(kappa, 0.2)
    ends = {tuple(arc[0].tolist()), tuple(arc[-1].tolist())}
    assert ends == {(25, 15), (25, 75)}
    assert np.abs(arc[:, 0] - middle[arc[:, 1]])[(arc[:, 1] > 20) & (arc[:, 1] < 70)].max() <= 1
    assert find_filaments(kappa, 0.9) == []


def test_filament_goes_on_over_small_maxima():
    # Noise cuts the ridge in many maxima of low persistence; the arc crosses their passes.
    kappa, middle = ridge()
    noisy = kappa + 0.02 * rough(5, kappa.shape, 0.7) / rough(5, kappa.shape, 0.7).std()
    assert len(persistence_pairs(noisy).persistence) > 100
    (arc,) = find_filaments(noisy, 0.2)
    assert np.abs(arc[:, 0] - middle[arc[:, 1]])[(arc[:, 1] > 20) & (arc[:, 1] < 70)].max() <= 3


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), least=st.floats(0.0, 1.0))
def test_arcs_join_persistent_maxima_without_gaps_or_loops(seed, least):
    kappa = rough(seed)
    kappa /= kappa.std()
    pairs = persistence_pairs(kappa)
    kept = {tuple(top) for top in pairs.maximum[pairs.persistence >= least].tolist()}
    arcs = find_filaments(kappa, least)
    assert len(arcs) == len(kept) - 1
    joined = {top: {top} for top in kept}
    for arc in arcs:
        first, last = tuple(arc[0].tolist()), tuple(arc[-1].tolist())
        assert {first, last} <= kept
        assert first != last
        assert (np.abs(np.diff(arc, axis=0)).max(axis=1) == 1).all()
        assert len({tuple(place) for place in arc.tolist()}) == len(arc)
        both = joined[first] | joined[last]
        joined |= dict.fromkeys(both, both)
    # Arcs are a tree: they join all persistent maxima.
    assert joined[next(iter(kept))] == kept


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000))
def test_pairs_turn_with_the_map(seed):
    kappa = rough(seed)
    one, turned = persistence_pairs(kappa), persistence_pairs(np.rot90(kappa))
    np.testing.assert_allclose(one.persistence, turned.persistence, rtol=1e-12)
    # rot90 takes (y, x) to (nx - 1 - x, y).
    np.testing.assert_array_equal(
        np.stack([kappa.shape[1] - 1 - one.maximum[:, 1], one.maximum[:, 0]], axis=1), turned.maximum
    )


def test_flat_map_has_one_maximum():
    found = persistence_pairs(np.zeros((5, 6)))
    assert len(found.maximum) == 1
    assert np.isinf(found.persistence).all()
    assert find_filaments(np.zeros((5, 6)), 0.0) == []


def test_each_part_of_a_footprint_has_its_own_highest_maximum():
    kappa, mask = rough(8), np.ones((24, 30))
    mask[:, 14:16] = 0
    found = persistence_pairs(kappa, mask)
    tops = found.maximum[np.isinf(found.persistence)]
    expected = [
        np.unravel_index(np.argmax(np.where(part, kappa, -9)), kappa.shape)
        for part in (
            np.arange(30) * np.ones((24, 1)) < 14,
            np.arange(30) * np.ones((24, 1)) > 15,
        )
    ]
    assert {tuple(t) for t in tops.tolist()} == {(int(y), int(x)) for y, x in expected}


def test_share_near():
    line = np.stack([np.full(20, 5), np.arange(20)], axis=1)
    other = np.stack([np.full(10, 8), np.arange(10)], axis=1)
    assert share_near([line], [line], 0) == 1
    assert share_near([other], [line], 2.9) == 0
    assert share_near([other], [line], 3) == 1
    # Beyond the end of the other line, places up to √(5² - 3²) = 4 columns on are near.
    assert share_near([line], [other], 5) == pytest.approx(14 / 20)
    assert share_near([line], [], 5) == 0
    assert np.isnan(share_near([], [line], 5))


def test_map_must_be_finite():
    with pytest.raises(InputError, match="not finite"):
        persistence_pairs(np.full((4, 4), np.nan))
