import math

import numpy as np
import pytest
import xarray as xr
from astropy import units
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from lensdask.conventions import ARCMIN
from lensdask.data import SHEAR_MAPS
from lensdask.errors import InputError
from lensdask.maps.fields import shear_maps
from lensdask.maps.pixelisation import bin_catalogue
from lensdask.maps.skyfields import sky_fields
from lensdask.maps.tangent import tangent_plane
from lensdask.maps.tiling import tile_catalogue

Columns = tuple[np.ndarray, ...]


def patch(ra_0: float, dec_0: float, side: float, count: int, seed: int = 0) -> Columns:
    """Return galaxies within a box of `side` degrees, or its part on the sphere: RA, Dec, g1, g2, weight."""
    rng = np.random.default_rng(seed)
    bottom, top = np.clip([dec_0 - side / 2, dec_0 + side / 2], -90, 90)
    dec = np.degrees(np.arcsin(rng.uniform(*np.sin(np.radians([bottom, top])), count)))
    half = min(side / 2 / max(math.cos(math.radians(dec_0)), 1e-3), 180)
    ra = ra_0 + rng.uniform(-half, half, count)
    return ra % 360, dec, *rng.uniform(-0.4, 0.4, (2, count)), rng.uniform(0.5, 2.0, count)


def placed(columns: Columns, dataset: xr.Dataset, field: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which galaxies are on the grid of a field, and which in its middle, without half of an overlap of 30'."""
    one = dataset.isel(field=field)
    separation = SkyCoord(*columns[:2], unit="deg").separation(
        SkyCoord(one["ra"].item(), one["dec"].item(), unit="deg")
    )
    near = np.flatnonzero(separation.deg < 60)
    x, y = tangent_plane(columns[0][near], columns[1][near], (one["ra"].item(), one["dec"].item()))
    half_x, half_y = (one.sizes[name] * one.attrs["pixel_scale"] / 2 for name in ("x", "y"))
    on_grid, middle = np.zeros((2, len(columns[0])), dtype=bool)
    on_grid[near] = (-half_x <= x) & (x < half_x) & (-half_y <= y) & (y < half_y)
    middle[near] = (np.abs(x) <= half_x - 15) & (np.abs(y) <= half_y - 15)
    return on_grid, middle


PLACES = [(150.0, 2.0), (0.3, -33.0), (359.9, 71.0), (200.0, 0.0), (77.0, 89.5), (10.0, -90.0)]


@pytest.mark.parametrize("place", PLACES)
def test_every_field_is_the_catalogue_about_its_centre(place: tuple[float, float]) -> None:
    columns = patch(*place, 8.0, 4000)
    error = np.random.default_rng(1).uniform(0.05, 0.2, 4000)
    options = {"pixel_scale": 10.0, "shape": (18, 24), "sigma_e": 0.25, "source": "lsst"}
    dataset = tile_catalogue(*columns, **options, measurement_error=error, overlap=30.0)
    SHEAR_MAPS.validate(dataset)
    assert dataset.sizes["field"] > 3
    counted = np.zeros(4000, dtype=int)
    in_a_middle = np.zeros(4000, dtype=bool)
    for field, one in ((field, dataset.isel(field=[field])) for field in range(dataset.sizes["field"])):
        inside, middle = placed(columns, dataset, field)
        counted += inside
        in_a_middle |= middle
        alone = bin_catalogue(
            *(column[inside] for column in columns),
            **options,
            measurement_error=error[inside],
            centre=(one["ra"].item(), one["dec"].item()),
            sky=True,
        )
        for name in alone:
            np.testing.assert_array_equal(one[name].values, alone[name].values)
    # Maps that are trimmed by half the overlap still show every galaxy.
    assert in_a_middle.all()
    assert dataset["count"].sum().item() == counted.sum()
    assert dataset.attrs["source"] == "lsst"
    density = counted.sum() / (dataset["mask"].values.sum() * 100)
    assert dataset.attrs["density"] == pytest.approx(density)


@settings(deadline=None, max_examples=25)
@given(
    ra=st.floats(0, 360),
    dec=st.floats(-90, 90),
    side=st.floats(1, 12),
    rows=st.integers(6, 30),
    columns=st.integers(6, 30),
    overlap=st.sampled_from([0.0, 30.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_galaxy_is_lost(
    ra: float, dec: float, side: float, rows: int, columns: int, overlap: float, seed: int
) -> None:
    galaxies = patch(ra, dec, side, 100, seed)
    dataset = tile_catalogue(*galaxies, pixel_scale=12.0, shape=(rows, columns), overlap=overlap, sigma_e=0.3)
    counted = np.zeros(100, dtype=int)
    for field in range(dataset.sizes["field"]):
        inside, _ = placed(galaxies, dataset, field)
        assert dataset["count"][field].sum().item() == inside.sum() > 0
        counted += inside
    assert (counted > 0).all()
    # Galaxies count one by one, so each field has the centre and the number of one of the whole sky.
    sky = sky_fields(*((n * 12.0 - overlap) * ARCMIN for n in (rows, columns)))
    for number, *centre in zip(dataset["field"].values, dataset["ra"].values, dataset["dec"].values, strict=True):
        assert sky.centre(int(number)) == tuple(centre)


def test_galaxies_on_the_edges_are_in_one_field_or_more() -> None:
    # The equator, RA 0 and 360, the poles, and the parallels and meridians between fields.
    sky = sky_fields(180 * ARCMIN, 240 * ARCMIN)
    row = int(np.searchsorted(sky.parallels, 33.0))
    meridians = np.arange(sky.columns[row]) * 360 / sky.columns[row]
    ra = np.concatenate([meridians, [0.0, 360.0, -1e-17, -1e-17, 10.0, 10.0, 50.0]])
    dec = np.concatenate([np.full(len(meridians), sky.parallels[row]), [0.0, 0.0, 5.0, 89.9, 90.0, -90.0, 0.0]])
    g = np.full(len(ra), 0.1)
    dataset = tile_catalogue(ra, dec, g, g, pixel_scale=10.0, shape=(18, 24), sigma_e=0.3)
    one_by_one = [
        tile_catalogue(ra[[i]], dec[[i]], g[[i]], g[[i]], pixel_scale=10.0, shape=(18, 24), sigma_e=0.3)
        for i in range(len(ra))
    ]
    assert all(one["count"].sum() == 1 for one in one_by_one)
    assert {one["field"].item() for one in one_by_one} == set(dataset["field"].values)


def test_halo_between_fields_has_the_same_shear_in_each() -> None:
    # A mass a little off the point where four fields meet, and galaxies about it with a shear of 0.06 (10' / r).
    sky = sky_fields(180 * ARCMIN, 180 * ARCMIN)
    row = int(np.searchsorted(sky.parallels, 50.0))
    mass = SkyCoord(360 / sky.columns[row] * 5 + 0.02, sky.parallels[row] + 0.03, unit="deg")
    ra, dec, *_ = patch(mass.ra.deg, mass.dec.deg, 2.0, 30000, seed=4)
    places = SkyCoord(ra, dec, unit="deg")
    towards, r = places.position_angle(mass).to_value(units.rad), places.separation(mass).to_value(units.arcmin)
    far = r > 10
    ra, dec, r = ra[far], dec[far], r[far]
    shear = -0.6 / r * np.exp(2j * (towards[far] + np.pi / 2))
    dataset = tile_catalogue(ra, dec, shear.real, shear.imag, pixel_scale=1.0, shape=(200, 200), overlap=20.0)
    centres = list(zip(dataset["ra"].values, dataset["dec"].values, strict=True))
    assert len(centres) == 4
    for field, centre in enumerate(centres):
        maps = shear_maps(dataset.isel(field=[field]))
        _, row, column = np.nonzero(maps.weight)
        x_0, y_0 = tangent_plane(mass.ra.deg, mass.dec.deg, centre)
        x, y = column - 99.5 - x_0, row - 99.5 - y_0
        turned = -(maps.g1 + 1j * maps.g2)[0, row, column] * np.exp(-2j * np.arctan2(y, x))
        far = np.hypot(x, y) > 20
        assert far.sum() > 300
        # The plane stretches by 0.1 per cent at 1.5 degrees; pixels of 1' know r and the direction that well.
        assert np.mean(turned.real[far] * np.hypot(x, y)[far]) == pytest.approx(0.6, rel=5e-3)
        assert np.std(turned.real[far] * np.hypot(x, y)[far]) < 0.02
        assert np.abs(np.mean(turned.imag[far])) < 2e-4


def test_survey_without_holes_has_none_at_the_edges_of_tiles() -> None:
    # 1.7 galaxies per pixel, over 12 degrees.
    dataset = tile_catalogue(*patch(150.0, 2.0, 12.0, 8800, seed=6), pixel_scale=10.0, shape=(18, 24), overlap=30.0)
    inside = (np.abs(dataset["ra"] - 150) + 2 < 5.9) & (np.abs(dataset["dec"] - 2) + 1.5 < 5.9)
    assert inside.sum() > 6
    assert dataset["mask"][inside.values].all()


def test_field_with_others_galaxies_alone_is_left_out() -> None:
    # Galaxies just above the equator: the fields below have them in their overlap, but nothing of their own.
    ra, g = np.linspace(0.5, 1.5, 50), np.full(50, 0.1)
    dataset = tile_catalogue(ra, np.full(50, 0.05), g, g, pixel_scale=10.0, shape=(18, 18), overlap=30.0, sigma_e=0.3)
    assert (dataset["dec"] > 0).all()
    # A galaxy without weight makes no field, and neither does one whose estimate is no shear.
    more = [np.append(values, end) for values, end in ((ra, 100.0), (np.full(50, 0.05), 40.0), (g, 0.1), (g, 0.1))]
    options = {"pixel_scale": 10.0, "shape": (18, 18), "overlap": 30.0, "sigma_e": 0.3}
    weightless = tile_catalogue(*more, np.append(np.ones(50), 0.0), **options)
    np.testing.assert_array_equal(weightless["field"], dataset["field"])
    more[2][-1] = 1.2
    np.testing.assert_array_equal(tile_catalogue(*more, **options)["field"], dataset["field"])


def test_dispersion_is_that_of_the_whole_catalogue() -> None:
    ra, dec, g1, g2, weight = patch(20.0, 30.0, 6.0, 3000)
    g1 = np.where(ra < 20, g1 / 4, g1)
    dataset = tile_catalogue(ra, dec, g1, g2, weight, pixel_scale=10.0, shape=(12, 12))
    sigma = math.sqrt((weight**2 * (g1**2 + g2**2)).sum() / (2 * (weight**2).sum()))
    assert dataset.attrs["sigma_e"] == pytest.approx(sigma)
    given = tile_catalogue(ra, dec, g1, g2, weight, pixel_scale=10.0, shape=(12, 12), sigma_e=sigma)
    np.testing.assert_allclose(dataset["weight"], given["weight"], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": (700, 20)}, "shape: fields of 23.3 degrees; expected 20 at most"),
        ({"shape": (0, 20)}, r"shape: \(0, 20\); expected the pixels"),
        ({"overlap": 41.0}, "overlap: 41.0; expected a number from 0 to 20 .half of a side"),
        ({"overlap": -1.0}, "overlap: -1.0; expected"),
        ({"overlap": math.nan}, "overlap: nan; expected"),
        ({"pixel_scale": 0.0}, "pixel_scale: 0"),
        ({"dec": np.array([10.0, 90.5])}, "dec: beyond the poles"),
        ({"ra": np.array([10.0, np.nan])}, "ra: not finite for 1 of 2"),
        ({"g1": np.full(2, 1.1)}, r"\|g\| is 1 or more for 2 of 2"),
        ({"sigma_e": -0.3}, "sigma_e: -0.3"),
    ],
)
def test_bad_input_is_refused(change: dict[str, object], message: str) -> None:
    columns = {"ra": [10.0, 10.1], "dec": [5.0, 5.1], "g1": [0.1, 0.1], "g2": [0.0, 0.1]}
    with pytest.raises(InputError, match=message) as raised:
        tile_catalogue(**columns | {"pixel_scale": 2.0, "shape": (20, 20), "sigma_e": 0.3} | change)
    assert "\n" not in str(raised.value)


def test_fields_that_the_memory_does_not_hold_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lensdask.maps.pixelisation._MOST_PIXELS", 500)
    monkeypatch.setattr("distributed.system.MEMORY_LIMIT", 1e5)
    columns = {"ra": [10.0, 30.0, 50.0, 70.0], "dec": [5.0, 5.1, 5.2, 5.3], "g1": [0.1] * 4, "g2": [0.0] * 4}
    with pytest.raises(InputError, match=r"shape: 4 fields of 20 x 20 pixels: 115 kB; expected what fits into memory"):
        tile_catalogue(**columns, pixel_scale=2.0, shape=(20, 20), sigma_e=0.3)
