import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from lensdask.errors import InputError
from lensdask.maps import footprints
from lensdask.maps.footprints import checked_footprint, covered, place_on_sky, read_footprint
from lensdask.maps.tangent import tangent_plane


def test_footprint_of_the_counts_ignores_chance_and_finds_holes() -> None:
    rng = np.random.default_rng(7)
    inside = np.ones((120, 150), dtype=bool)
    y, x = np.mgrid[:120, :150]
    inside[(y - 40) ** 2 + (x - 60) ** 2 < 15**2] = False
    inside[:, 130:] = False
    for density in (0.5, 2.0, 6.0):
        count = np.where(inside, rng.poisson(density, inside.shape), 0)
        found = covered(count.astype(float))
        assert found[inside].mean() > 0.98
        assert found[~inside].mean() < 0.15
        assert (found | (count == 0)).all()


@pytest.mark.parametrize("density", [0.3, 1.0, 2.0])
def test_chance_empties_nothing_at_the_edges_either(density: float) -> None:
    rng = np.random.default_rng(9)
    outside = [np.count_nonzero(~covered(rng.poisson(density, (128, 128)).astype(float))) for _ in range(60)]
    assert np.mean(outside) < 1


@pytest.mark.parametrize("density", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("depth", [1.0, 0.5, 1.5])
def test_end_of_a_footprint_near_an_edge_is_found(density: float, depth: float) -> None:
    """`depth` is that of the strip beyond the end, in sides of the square."""
    count = np.random.default_rng(3).poisson(density, (128, 96)).astype(float)
    end = 96 - int(depth * footprints._void_side(count))
    for turn in range(4):
        seen = np.where(np.arange(96) < end, count, 0)
        found = np.rot90(covered(np.rot90(seen, turn)), -turn)
        assert not found[:, end:].any()
        assert found[:, :end].mean() > 0.98


def test_footprint_that_fills_its_bounding_box_badly() -> None:
    # A square turned by 4 degrees: a wedge along each of the four edges.
    y, x = np.mgrid[:140, :140] - 69.5
    turned = (x + 1j * y) * np.exp(1j * np.radians(4))
    inside = np.maximum(np.abs(turned.real), np.abs(turned.imag)) < 65
    rows, columns = inside.any(axis=1), inside.any(axis=0)
    inside = inside[rows][:, columns]
    found = covered(np.random.default_rng(5).poisson(2.0, inside.shape) * inside.astype(float))
    assert found[inside].mean() > 0.99
    assert found[~inside].mean() < 0.2


def _outside_by_rectangles(empty: np.ndarray, side: int) -> np.ndarray:
    """Every empty rectangle that counts: the square anywhere, and others of its area that lie along an edge."""
    height, width = empty.shape
    outside = np.zeros_like(empty)
    for top, left in np.ndindex(height, width):
        for bottom, right in np.ndindex(height + 1, width + 1):
            h, w = bottom - top, right - left
            along = (h <= side and (top == 0 or bottom == height)) or (w <= side and (left == 0 or right == width))
            counts = (h == w == side) or (along and h > 0 < w and h * w >= side**2)
            if counts and empty[top:bottom, left:right].all():
                outside[top:bottom, left:right] = True
    return outside


@pytest.mark.parametrize("seed", range(4))
def test_rule_against_all_rectangles(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(footprints, "_void_side", lambda _: 3)
    empty = np.random.default_rng(seed).random((9, 12)) < 0.85
    expected = _outside_by_rectangles(empty, 3)
    assert 0 < expected.sum() < empty.sum()
    np.testing.assert_array_equal(covered(1.0 - empty), ~expected)


def test_few_galaxies_say_nothing_about_the_footprint() -> None:
    # Chance leaves squares empty that are far larger than the grid.
    rng = np.random.default_rng(8)
    for galaxies in (1, 2, 5):
        count = np.zeros((12, 20))
        count.ravel()[rng.choice(count.size, galaxies, replace=False)] = 1
        assert covered(count).all()


def write_fits(path, mask, **header) -> str:
    unit = fits.PrimaryHDU(np.asarray(mask, dtype=np.int16))
    for name, value in header.items():
        unit.header[name] = value
    unit.writeto(path)
    return str(path)


def sky_header(side_x: float, side_y: float) -> dict[str, object]:
    """Return a tangent plane with pixels of so many arcmin."""
    kinds = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 3.0, "CRPIX2": 2.0}
    return kinds | {"CDELT1": -side_x / 60, "CDELT2": side_y / 60}


MASK = np.array([[0, 1, 1, 1, 0], [1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])


def test_footprint_is_read_from_either_format(tmp_path) -> None:
    np.save(tmp_path / "mask.npy", MASK.astype(float))
    paths = [
        tmp_path / "mask.npy",
        write_fits(tmp_path / "plain.fits", MASK),
        write_fits(tmp_path / "sky.fits", MASK, **sky_header(0.82, 0.82)),
    ]
    for path in paths:
        found = read_footprint(path, 0.82)
        assert found.dtype == bool
        np.testing.assert_array_equal(found, MASK == 1)


@pytest.mark.parametrize(
    ("values", "header", "message"),
    [
        (MASK, sky_header(0.82, 0.9), "pixels of 0.82 x 0.9 arcmin; expected square ones"),
        (MASK, sky_header(0.41, 0.41), "pixels of 0.41 arcmin; expected those of the maps, 0.82"),
        (MASK, {"CTYPE1": "RA---TAN", "CDELT1": 0.01}, r"coordinates that make no sense \(Unmatched celestial axes\)"),
        (2 * MASK, {}, "no map of 0 and 1"),
        (MASK[0], {}, "no map of 0 and 1"),
    ],
)
def test_file_of_something_else_is_refused(tmp_path, values, header, message) -> None:
    with pytest.raises(InputError, match=message):
        read_footprint(write_fits(tmp_path / "mask.fits", values, **header), 0.82)


def on_sky(shape: tuple[int, int], scale: float, **change: object) -> dict[str, object]:
    """Return the header of a map about RA 150, Dec 40."""
    middle = {"CRVAL1": 150.0, "CRVAL2": 40.0, "CRPIX1": (shape[1] + 1) / 2, "CRPIX2": (shape[0] + 1) / 2}
    return sky_header(scale, scale) | middle | change


WIDE = np.ones((100, 150))


def test_middle_of_a_footprint_is_that_of_its_header(tmp_path) -> None:
    np.save(tmp_path / "mask.npy", WIDE)
    assert place_on_sky(tmp_path / "mask.npy", 0.5) is None
    assert place_on_sky(tmp_path / "mask.npy", 0.5, (20.0, 30.0)) == (20.0, 30.0)
    path = write_fits(tmp_path / "sky.fits", WIDE, **on_sky(WIDE.shape, 0.5))
    assert place_on_sky(path, 0.5) == pytest.approx((150.0, 40.0), abs=1e-9)
    # 0.4 of a pixel, and 0.6.
    near, off = (40 + part * 0.5 / 60 for part in (0.4, 0.6))
    assert place_on_sky(path, 0.5, (150.0, near)) == (150.0, near)
    with pytest.raises(InputError, match=r"the middle is at RA 150.00000, Dec 40.00000; expected it at the centre"):
        place_on_sky(path, 0.5, (150.0, off))
    # The same place in other coordinates, turned so that the north of RA and Dec is up.
    galactic = SkyCoord(150.0, 40.0, unit="deg").galactic
    pole = SkyCoord(150.0, 41.0, unit="deg").galactic
    angle = galactic.position_angle(pole).rad
    turned = {"PC1_1": np.cos(angle), "PC1_2": -np.sin(angle), "PC2_1": np.sin(angle), "PC2_2": np.cos(angle)}
    names = {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN", "CRVAL1": galactic.l.deg, "CRVAL2": galactic.b.deg}
    path = write_fits(tmp_path / "galactic.fits", WIDE, **on_sky(WIDE.shape, 0.5, **names, **turned))
    assert place_on_sky(path, 0.5) == pytest.approx((150.0, 40.0), abs=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"CDELT1": 0.5 / 60},
        {"CDELT2": -0.5 / 60},
        {"CROTA2": 1.0},
        {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"},
        # Cut out of a plane that touches the sky elsewhere, where its north is another.
        {"CRPIX1": 1000.0},
        # Degrees of RA are shorter than those of Dec.
        {"CTYPE1": "RA---CAR", "CTYPE2": "DEC--CAR", "CRVAL2": 0.0, "CRPIX2": 50.5 - 40 * 60 / 0.5},
    ],
)
def test_footprint_that_lies_otherwise_than_the_maps_is_refused(tmp_path, change) -> None:
    path = write_fits(tmp_path / "mask.fits", WIDE, **on_sky(WIDE.shape, 0.5, **change))
    with pytest.raises(
        InputError, match=r"up to .* pixels beside a map with north up and east left; expected"
    ) as raised:
        place_on_sky(path, 0.5)
    assert "\n" not in str(raised.value)
    # A simulated field is nowhere on the sky.
    assert read_footprint(path, 0.5).all()


def test_pixels_of_a_footprint_are_those_that_galaxies_fall_in(tmp_path) -> None:
    header = on_sky(WIDE.shape, 0.5)
    centre = place_on_sky(write_fits(tmp_path / "mask.fits", WIDE, **header), 0.5)
    row, column = np.random.default_rng(2).integers(0, WIDE.shape, (50, 2)).T
    x, y = tangent_plane(*WCS(header).all_pix2world(column, row, 0), centre)
    np.testing.assert_allclose(x / 0.5 + (WIDE.shape[1] - 1) / 2, column, atol=1e-6)
    np.testing.assert_allclose(y / 0.5 + (WIDE.shape[0] - 1) / 2, row, atol=1e-6)


def test_file_with_nan_is_refused(tmp_path) -> None:
    np.save(tmp_path / "mask.npy", np.where(MASK == 1, 1.0, np.nan))
    with pytest.raises(InputError, match="no map of 0 and 1"):
        read_footprint(tmp_path / "mask.npy", 0.82)


@pytest.mark.parametrize(
    ("mask", "shape", "message"),
    [
        (np.zeros((3, 5)), None, "mask: 0 everywhere"),
        (MASK, (5, 3), r"mask: shape \(3, 5\); expected \(5, 3\)"),
        (MASK[0], None, r"mask: shape \(5,\); expected \(y, x\)"),
        (-MASK, None, "mask: holds other values"),
    ],
)
def test_what_is_no_footprint_is_refused(mask, shape, message) -> None:
    with pytest.raises(InputError, match=message):
        checked_footprint(mask, shape)
