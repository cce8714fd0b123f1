"""The comparison of mass maps with known clusters: on a mock survey, and on the COSMOS field where the data are."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from lensdask.errors import InputError
from lensdask.maps.statistics.peaks import Peaks, highest_peaks_near
from lensdask.massmap import Products, bin_catalogue, find_method, reconstruct_maps, shear_maps
from lensdask.massmap.counterparts import FieldMaps, against_chance, clusters_with_peaks, map_with_noise
from lensdask.sky.nfw import Halo, nfw_shear
from lensdask.sky.sources import SOURCES

DOCS = Path(__file__).parent.parent / "docs"
DATA = Path(__file__).parents[2] / "shared" / "data"
CENTRE, SCALE, SIDE = (10.0, 0.0), 1.5, 40


@pytest.fixture
def cosmos(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    return importlib.import_module("cosmos")


def places(y, x, height=None):
    columns = [np.asarray(v, dtype=float) for v in (y, x, np.ones(len(y)) if height is None else height)]
    return Peaks(np.zeros(len(y), dtype=np.int64), *columns)


def mock_survey(seed: int, mass: float) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Return a catalogue on the equator, with the shear of eight haloes in RA and Dec, and where these are."""
    rng = np.random.default_rng(seed)
    half = SIDE * SCALE / 2
    east, north = rng.uniform(-half, half, (2, 60_000))
    halo_east, halo_north = (
        np.array([-20.0, -4, 12, 22, -17, 2, 20, -8]),
        np.array([-19.0, -20, -18, 3, 6, 2, 19, 21]),
    )
    g1, g2 = 0.3 * rng.normal(size=(2, east.size))
    for e, n in zip(halo_east, halo_north, strict=True):
        # Seen with east to the left: the position angle is measured from the west.
        west_offset, north_offset = -(east - e), north - n
        shear = nfw_shear(np.hypot(west_offset, north_offset), Halo(mass, 5.0, 0.3), SOURCES["cosmos"])
        angle = np.arctan2(north_offset, west_offset)
        g1, g2 = g1 - shear * np.cos(2 * angle), g2 - shear * np.sin(2 * angle)
    keep = np.hypot(g1, g2) < 1
    catalogue = {
        "x": CENTRE[0] + east / 60,
        "y": CENTRE[1] + north / 60,
        "g1": g1,
        "g2": g2,
        "weight": np.ones_like(g1),
    }
    return {name: column[keep] for name, column in catalogue.items()}, halo_east, halo_north


def measured(cosmos, seed: int, mass: float, *, sign: int = 1):
    catalogue, east, north = mock_survey(seed, mass)
    catalogue["g2"] = sign * catalogue["g2"]
    count = len(east)
    groups = cosmos.Groups(
        np.arange(count),
        CENTRE[0] + east / 60,
        CENTRE[1] + north / 60,
        np.full(count, 0.3),
        np.full(count, mass / 1e13),
    )
    mask = np.ones((SIDE, SIDE), dtype=bool)
    result, pictures = cosmos.measure(
        catalogue, mask, groups, ["ks93:1.5"], centre=CENTRE, pixel_scale=SCALE, realisations=40
    )
    rows = {r["quantity"]: r["measured"] for r in result["rows"]}
    return result, rows, pictures, groups, mask


def test_planted_clusters_are_found_and_drawn(cosmos, tmp_path):
    result, rows, pictures, groups, mask = measured(cosmos, 1, 1e15)
    assert rows["of the ten most massive groups with a peak"] == 8
    assert rows["of the ten most massive groups with a peak, p-value"] == pytest.approx(1 / 41)
    assert rows["of the ten most massive groups with a peak, rotated shear: mean"] < 1.5
    assert rows["highest S/N of the E mode"] > rows["highest S/N of the B mode"] + 1.5
    assert rows["p-value of the highest S/N"] == pytest.approx(1 / 41)
    assert min(result["group_peaks"]["ks93:1.5"]) > 2.5
    assert all(group["on_footprint"] for group in result["groups"])
    cosmos.draw(pictures, mask, groups, tmp_path / "maps.png", centre=CENTRE, pixel_scale=SCALE)
    assert (tmp_path / "maps.png").stat().st_size > 10_000
    page = cosmos.page(json.loads(json.dumps(result)))
    assert "| 0 | 0.30 | 100.0 |" in page
    assert "| p-value of the highest S/N | < 0.025 |" in page
    assert "| of the ten most massive groups (8 of the ten on the footprint) with a peak | 8 |" in page


def test_the_picture_shows_every_peak_north_and_east_and_the_groups_on_the_footprint(cosmos, tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: saved.append(figure))
    offsets = np.array([[0.0, 0], [12, 0], [0, -12], [400, 0], [-9, 9]])
    ra, dec = (CENTRE + offsets / 60).T
    # The fourth is off the footprint; the last is less massive than ten others.
    number = np.concatenate([np.arange(4), np.full(6, 3), [4]])
    groups = cosmos.Groups(number, ra[number], dec[number], np.full(11, 0.3), -np.arange(11.0))
    pictures = {name: np.random.default_rng(i).normal(size=(SIDE, SIDE)) for i, name in enumerate(["ks93:2", "other"])}
    mask = np.ones((SIDE, SIDE), dtype=bool)
    cosmos.draw(pictures, mask, groups, tmp_path / "maps.png", centre=CENTRE, pixel_scale=SCALE)
    (figure,) = saved
    panels = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in panels] == ["Kaiser–Squires, 2′", "other"]
    for axes, one in zip(panels, pictures.values(), strict=True):
        assert axes.images[0].get_clim()[1] == one.max()
        ten, rest = axes.lines
        # East of the centre is to its left.
        np.testing.assert_allclose(ten.get_xydata() - ten.get_xydata()[0], [[0, 0], [-12, 0], [0, -12]], atol=1e-3)
        assert len(rest.get_xydata()) == 1
        assert ten.get_markersize() > rest.get_markersize()
        tips = {text.get_text(): np.subtract(text.get_position(), text.xy) for text in axes.texts}
        assert tips["N"][0] == 0 < tips["N"][1]
        assert tips["E"][1] == 0 > tips["E"][0]
    assert "3 of them on the footprint" in figure.legends[0].get_texts()[0].get_text()


def test_nothing_is_found_in_noise_or_with_the_wrong_parity(cosmos):
    noise, mirrored = (measured(cosmos, 1, mass, sign=sign)[1] for mass, sign in ((1e9, 1), (1e15, -1)))
    assert noise["of the ten most massive groups with a peak, p-value"] > 0.05
    assert noise["p-value of the highest S/N"] > 0.05
    assert mirrored["of the ten most massive groups with a peak"] <= 4
    # The script's own check mirrors it back.
    assert mirrored["highest S/N with g2 reversed"] > mirrored["highest S/N of the E mode"] + 1


def test_highest_peaks_near_by_hand():
    peaks = Peaks(
        np.array([0, 0, 0, 1]), *(np.array(c, dtype=float) for c in ([5, 5, 9, 5], [5, 7, 9, 5], [1, 3, 9, 7]))
    )
    asked = places([5, 5, 0], [5, 3, 0])
    # The second is 4 from the higher peak, the third far from all; the peak of the other map does not count.
    np.testing.assert_array_equal(highest_peaks_near(asked, peaks, 2.0), [3, 1, -np.inf])


def test_chance_by_hand():
    found = against_chance(3, np.array([0, 1, 1, 3, 5]))
    assert found.mean == 2
    assert found.p_value == pytest.approx(3 / 6)
    assert against_chance(9, np.zeros(200)).p_value == pytest.approx(1 / 201)
    assert found.low <= 1 <= found.high


def test_clusters_in_maps_of_noise_are_counted_map_by_map():
    nulls = np.zeros((3, 20, 20))
    nulls[1, 5, 5], nulls[2, 5, 6], nulls[2, 14, 14], nulls[0, 10, 10] = 3, 4, 5, 9
    kappa = np.zeros((20, 20))
    kappa[6, 5] = 2.0
    found = FieldMaps(kappa, kappa, nulls, np.ones((20, 20)))
    highest, counts = clusters_with_peaks(places([5, 14], [5, 14]), found, np.ones((20, 20)), radius=1.5, threshold=2.5)
    np.testing.assert_array_equal(highest, [2, -np.inf])
    np.testing.assert_array_equal(counts, [0, 1, 2])


def test_map_with_noise_is_that_of_the_method_and_of_its_turned_shear():
    catalogue = mock_survey(2, 1e15)[0]
    dataset = bin_catalogue(
        **catalogue, centre=CENTRE, sky=True, pixel_scale=SCALE, shape=(SIDE, SIDE), drop_outside=True
    )
    maps, method = shear_maps(dataset), find_method("ks93:2")
    found = map_with_noise(maps, method, pixel_scale=SCALE, realisations=20, seed=3)
    products = Products(b_mode=True, noise_realisations=20)
    made = reconstruct_maps(maps, method, pixel_scale=SCALE, products=products, seed=3)
    np.testing.assert_allclose(found.kappa, made["kappa"][0], atol=1e-6)
    np.testing.assert_allclose(found.kappa_b, made["kappa_b"][0], atol=1e-6)
    np.testing.assert_allclose(found.over_noise(found.kappa), made["significance"][0], rtol=1e-4, atol=1e-4)
    # More of them begin with the same ones, however many are held at once.
    more = map_with_noise(maps, method, pixel_scale=SCALE, realisations=21, seed=3)
    np.testing.assert_array_equal(more.nulls[:20], found.nulls)
    with pytest.raises(InputError, match="at least 2"):
        map_with_noise(maps, method, pixel_scale=SCALE, realisations=1)


def test_the_page_is_of_the_committed_numbers(cosmos):
    result = json.loads((DOCS / "cosmos" / "result.json").read_text())
    assert (DOCS / "cosmos" / "README.md").read_text() == cosmos.page(result)
    peaks = {r["series"]: r["measured"] for r in result["rows"] if r["quantity"] == "highest S/N of the E mode"}
    # The network that is shipped for this field is among the methods, in the rows and in the table of groups.
    assert list(peaks) == list(result["group_peaks"]) == [*cosmos.METHODS, "cosmos"]
    assert min(peaks.values()) >= 4
    assert all(len(heights) == len(result["groups"]) == cosmos.TOP for heights in result["group_peaks"].values())
    (on,) = (r["measured"] for r in result["rows"] if r["quantity"] == "ten most massive groups on the footprint")
    assert sum(group["on_footprint"] for group in result["groups"]) == on


def test_a_group_off_the_footprint_is_told_from_one_without_a_peak(cosmos):
    groups = [{"number": n, "redshift": 0.3, "mass": 9.0, "on_footprint": on} for n, on in enumerate([1, 1, 0, 0])]
    result = {"size": "a survey", "rotations": 9, "rows": [], "groups": groups}
    result["group_peaks"] = {"ks93": [3.0, None, None, 2.0]}
    cells = [line.split(" | ")[-1] for line in cosmos.page(result).splitlines() if line.endswith("|")][-4:]
    assert cells == ["3.0 |", "– |", "off |", "2.0 |"]


@pytest.mark.parametrize(("p_value", "cell"), [(1 / 201, "< 0.005"), (2 / 201, "0.00995"), (1.0, "1")])
def test_a_p_value_is_a_bound_where_no_rotation_reaches_as_much(cosmos, p_value, cell):
    rows = [{"quantity": "p-value", "measured": p_value, "error": None, "series": "ks93"}]
    page = cosmos.page({"size": "", "rotations": 200, "rows": rows, "groups": [], "group_peaks": {"ks93": []}})
    assert f"| p-value | {cell} |" in page


def test_the_cosmos_field(cosmos):
    if not (DATA / cosmos.CATALOGUE).exists():
        pytest.skip("the COSMOS shear catalogue is not in ../shared/data")
    scale = 1.16
    mask = cosmos.read_footprint(DATA / cosmos.FOOTPRINT, scale)
    catalogue = cosmos.read_shear_catalogue(DATA / cosmos.CATALOGUE, ("ra", "dec", "g1", "g2", "weight"))
    groups = cosmos.read_groups(DATA / cosmos.GROUPS)
    result, _ = cosmos.measure(catalogue, mask, groups, ["ks93:1.5"], pixel_scale=scale, realisations=60)
    # The X-ray survey is larger than that of the galaxies.
    assert [group["number"] for group in result["groups"] if not group["on_footprint"]] == [145, 9]
    rows = {r["quantity"]: r["measured"] for r in result["rows"]}
    # The footprint lies where the galaxies are; those left out are in pixels at its edge.
    assert rows["galaxies"] > 0.99 * len(catalogue["x"])
    assert rows["highest S/N of the E mode"] > 4.5
    assert rows["highest S/N of the E mode"] > rows["highest S/N of the B mode"] + 1
    assert rows["highest S/N of the E mode"] > rows["highest S/N with g2 reversed"] + 0.5
    assert rows["of the ten most massive groups with a peak"] >= 3
    assert rows["of the ten most massive groups with a peak, p-value"] < 0.05
