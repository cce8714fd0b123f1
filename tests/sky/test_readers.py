import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from lensdask.errors import InputError
from lensdask.sky import read_convergence_map
from lensdask.sky.readers import healpix_patch

REAL = Path(__file__).parents[3] / "shared" / "data" / "maps" / "massivenus_kappa_zs1_320px_0.41arcmin.fits"


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(16, 16)).astype(np.float32)


def write_record(path: Path, values: np.ndarray) -> Path:
    data = values.astype("<f8").tobytes()
    mark = len(data).to_bytes(4, "little")
    path.write_bytes(mark + data + mark)
    return path


def test_real_map_of_massivenus() -> None:
    if not REAL.exists():
        pytest.skip("the MassiveNuS map is not in ../shared/data")
    kappa, scale = read_convergence_map(REAL, pixel_scale=0.41)
    assert kappa.shape == (320, 320)
    assert scale == 0.41
    assert kappa.std() == pytest.approx(0.0183, abs=1e-4)
    assert kappa.max() == pytest.approx(0.2447, abs=1e-4)
    with pytest.raises(InputError, match="expected pixel_scale"):
        read_convergence_map(REAL)


def test_grid_of_massivenus_is_known(tmp_path: Path) -> None:
    fits.PrimaryHDU(np.zeros((512, 512), np.float32)).writeto(tmp_path / "WLconv_z1.00_0001r.fits")
    kappa, scale = read_convergence_map(tmp_path / "WLconv_z1.00_0001r.fits")
    assert kappa.shape == (512, 512)
    assert 512 * scale == pytest.approx(3.5 * 60)


@pytest.mark.parametrize("name", ["map.fits", "map.fits.gz"])
def test_scale_of_the_header_and_an_image_in_an_extension(tmp_path: Path, image: np.ndarray, name: str) -> None:
    world = WCS(naxis=2)
    world.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    world.wcs.cdelt = [-0.29 / 60, 0.29 / 60]
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(image, world.to_header())]).writeto(tmp_path / name)
    kappa, scale = read_convergence_map(tmp_path / name)
    np.testing.assert_array_equal(kappa, image)
    assert kappa.dtype == np.dtype("=f4")
    assert scale == pytest.approx(0.29)
    world.wcs.cdelt = [-0.29 / 60, 0.3 / 60]
    fits.PrimaryHDU(image, world.to_header()).writeto(tmp_path / "oblong.fits")
    with pytest.raises(InputError, match="expected square ones"):
        read_convergence_map(tmp_path / "oblong.fits")


TANGENT = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -0.01, "CDELT2": 0.01}


def with_header(path: Path, image: np.ndarray, header: dict[str, object]) -> Path:
    unit = fits.PrimaryHDU(image)
    unit.header.update(header)
    unit.writeto(path)
    return path


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"CTYPE1": "RA---TAN", "CDELT1": -0.01, "CDELT2": 0.01}, "Unmatched celestial axes"),
        (TANGENT | {"CTYPE2": "DEC--SIN"}, "Inconsistent projection types"),
        (TANGENT | {"CUNIT1": "furlong"}, "Invalid symbol"),
        (TANGENT | {"CDELT1": 0.0}, "singular"),
    ],
)
def test_coordinates_that_make_no_sense_get_one_line(tmp_path: Path, image, header, reason) -> None:
    file = with_header(tmp_path / "map.fits", image, header)
    with pytest.raises(InputError, match=f"^{file}: coordinates that make no sense .*{reason}.*; expected") as raised:
        read_convergence_map(file)
    assert "\n" not in str(raised.value)


def test_coordinates_without_a_scale_have_none(tmp_path: Path, image: np.ndarray) -> None:
    kinds = {name: kind for name, kind in TANGENT.items() if name.startswith("CTYPE")}
    with pytest.raises(InputError, match=r"does not say how large its .* pixels are"):
        read_convergence_map(with_header(tmp_path / "map.fits", image, kinds))
    matrix = {"CD1_1": -0.29 / 60, "CD2_2": 0.29 / 60}
    file = with_header(tmp_path / "matrix.fits", image, kinds | matrix | {"DATE-OBS": "2026-01-01"})
    assert read_convergence_map(file)[1] == pytest.approx(0.29)
    # Other spellings of a unit are mended without a word.
    file = with_header(tmp_path / "loud.fits", image, TANGENT | {"CUNIT1": "DEG", "CUNIT2": "DEG"})
    assert read_convergence_map(file)[1] == pytest.approx(0.6)


def test_file_without_an_image_is_told_in_its_own_line(tmp_path: Path) -> None:
    fits.PrimaryHDU().writeto(tmp_path / "empty.fits")
    with pytest.raises(InputError, match=r"empty\.fits: holds no image; expected a convergence map$") as raised:
        read_convergence_map(tmp_path / "empty.fits")
    assert "is not FITS" not in str(raised.value)


def test_record_of_kappatng(tmp_path: Path) -> None:
    values = np.random.default_rng(1).normal(size=(1024, 1024))
    kappa, scale = read_convergence_map(write_record(tmp_path / "kappa23.dat", values))
    np.testing.assert_array_equal(kappa, values.astype(np.float32))
    assert 1024 * scale == pytest.approx(5 * 60)
    (tmp_path / "cut.dat").write_bytes((tmp_path / "kappa23.dat").read_bytes()[:-9])
    with pytest.raises(InputError, match="expected a map of κTNG"):
        read_convergence_map(tmp_path / "cut.dat")


def test_hdf5_of_kappatng(tmp_path: Path, image: np.ndarray) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "run.hdf5", "w") as file:
        file["z23/kappa"] = image
    kappa, scale = read_convergence_map(tmp_path / "run.hdf5", dataset="z23/kappa", pixel_scale=0.29)
    np.testing.assert_array_equal(kappa, image)
    assert scale == 0.29
    for wrong in (None, "z23", "z24/kappa"):
        with pytest.raises(InputError, match="expected the name of one, under z23"):
            read_convergence_map(tmp_path / "run.hdf5", dataset=wrong)


def test_npy(tmp_path: Path, image: np.ndarray) -> None:
    np.save(tmp_path / "map.npy", image.astype(np.float64))
    np.testing.assert_array_equal(read_convergence_map(tmp_path / "map.npy", pixel_scale=1.0)[0], image)


def test_a_full_sky_gives_a_patch(tmp_path: Path) -> None:
    np.save(tmp_path / "sky.npy", np.arange(12 * 16**2, dtype=np.float32))
    with pytest.raises(InputError, match="expected patch and pixel_scale"):
        read_convergence_map(tmp_path / "sky.npy")
    kappa, scale = read_convergence_map(tmp_path / "sky.npy", pixel_scale=30.0, patch=(40.0, -20.0, 9))
    assert kappa.shape == (9, 9)
    assert kappa.dtype == np.float32
    assert scale == 30.0
    np.testing.assert_array_equal(kappa, healpix_patch(np.arange(12 * 16**2), (40.0, -20.0), 9, 30.0))


@pytest.mark.parametrize("unknown", [-1.6375e30, np.nan, np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_patch_of_unknown_pixels_is_refused_and_one_beside_them_is_not(tmp_path: Path, unknown, dtype) -> None:
    numbers = healpix_patch(np.arange(12 * 16**2), (40.0, -20.0), 9, 30.0)
    sky = np.zeros(12 * 16**2, dtype)
    sky[:] = unknown
    sky[numbers] = 0.01
    np.save(tmp_path / "sky.npy", sky)
    settings = {"pixel_scale": 30.0, "patch": (40.0, -20.0, 9)}
    np.testing.assert_array_equal(read_convergence_map(tmp_path / "sky.npy", **settings)[0], np.float32(0.01))
    sky[numbers[4, 4]] = unknown
    np.save(tmp_path / "sky.npy", sky)
    held = np.count_nonzero(numbers == numbers[4, 4])
    with pytest.raises(InputError, match=rf"sky.npy: {held} of 81 pixels are not finite, or UNSEEN; expected a conv"):
        read_convergence_map(tmp_path / "sky.npy", **settings)


def centres(nside: int) -> tuple[np.ndarray, np.ndarray]:
    """Sine of latitude and longitude of all pixels in RING order, ring by ring (Górski et al. 2005, equations 4-9)."""
    z, longitude = [], []
    for ring in range(1, 4 * nside):
        i = min(ring, 4 * nside - ring)
        sign = 1 if ring < 2 * nside else -1
        if i < nside:
            count, height, start = 4 * i, sign * (1 - i**2 / (3 * nside**2)), 0.5
        else:
            count, height = 4 * nside, 4 / 3 - 2 * ring / (3 * nside)
            start = 0.5 * ((ring - nside + 1) % 2)
        z.append(np.full(count, height))
        longitude.append(2 * np.pi / count * (np.arange(count) + start))
    return np.concatenate(z), np.concatenate(longitude)


@pytest.mark.parametrize("nside", [1, 2, 3, 8, 16])
def test_every_healpix_pixel_is_found_at_its_centre(nside: int) -> None:
    sky = np.arange(12 * nside**2)
    z, longitude = centres(nside)
    assert len(z) == len(sky)
    latitude = np.rad2deg(np.arcsin(z))
    found = [
        healpix_patch(sky, (lon, lat), 1, 1.0)[0, 0] for lon, lat in zip(np.rad2deg(longitude), latitude, strict=True)
    ]
    np.testing.assert_array_equal(found, sky)


@pytest.mark.parametrize("centre", [(70.0, 30.0), (359.0, -60.0)])
def test_the_grid_of_a_patch_is_the_tangent_projection_of_fits(centre: tuple[float, float]) -> None:
    # 10 degrees; a grid even in angle instead would be off by 0.8 arcmin at the sides, an eighth of a HEALPix pixel.
    nside, size, scale = 512, 41, 15.0
    sky = np.arange(12 * nside**2)
    world = WCS(naxis=2)
    world.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    world.wcs.crval, world.wcs.crpix, world.wcs.cdelt = centre, [(size + 1) / 2] * 2, [-scale / 60, scale / 60]
    y, x = np.mgrid[:size, :size]
    places = np.stack(world.pixel_to_world_values(x, y), axis=-1).reshape(-1, 2)
    expected = [healpix_patch(sky, tuple(place), 1, 1.0)[0, 0] for place in places]
    np.testing.assert_array_equal(healpix_patch(sky, centre, size, scale).ravel(), expected)


def test_a_patch_has_north_up_and_east_to_the_left() -> None:
    nside = 256
    z, longitude = centres(nside)
    patch = healpix_patch(np.arcsin(z), (70.0, 30.0), 21, 20.0)
    np.testing.assert_allclose(np.rad2deg(patch[:, 10]), 30 + np.arange(-10, 11) / 3, atol=0.2)
    patch = healpix_patch(longitude, (70.0, 0.0), 21, 20.0)
    np.testing.assert_allclose(np.rad2deg(patch[10]), 70 - np.arange(-10, 11) / 3, atol=0.3)
    with pytest.raises(InputError, match="expected 12 nside²"):
        healpix_patch(np.zeros(100), (0.0, 0.0), 4, 1.0)
    for centre, size, scale in (((0.0, 91.0), 4, 1.0), ((np.nan, 0.0), 4, 1.0), ((0, 0), 0, 1.0), ((0, 0), 4, -1.0)):
        with pytest.raises(InputError, match=r"^patch of .* expected a pixel at least, of positive side"):
            healpix_patch(np.zeros(12), centre, size, scale)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("map.txt", b"1", "unknown format"),
        ("map.fits", b"SIMPLE", "is not FITS"),
        ("map.npy", b"nothing", "is not an array"),
        ("map.npy", b"", "is not an array"),
        ("map.dat", b"", "is not one record"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_convergence_map(tmp_path / name)
    with pytest.raises(InputError, match=r"no such file|unknown format"):
        read_convergence_map(tmp_path / "absent" / name)


def test_a_map_must_be_finite_and_two_dimensional(tmp_path: Path, image: np.ndarray) -> None:
    np.save(tmp_path / "cube.npy", np.zeros((2, 4, 4)))
    with pytest.raises(InputError, match="expected a map"):
        read_convergence_map(tmp_path / "cube.npy", pixel_scale=1.0)
    for unknown in (np.nan, -1.6375e30):
        image[3, 3:5] = unknown
        np.save(tmp_path / "unknown.npy", image)
        with pytest.raises(InputError, match=r"2 of 256 pixels are not finite, or UNSEEN"):
            read_convergence_map(tmp_path / "unknown.npy", pixel_scale=1.0)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_pixels_have_a_side(tmp_path: Path, image: np.ndarray, scale: float) -> None:
    np.save(tmp_path / "map.npy", image)
    with pytest.raises(InputError, match=r"^pixel_scale: .*; expected a number from 0.001 to 1000 \(arcmin\)$"):
        read_convergence_map(tmp_path / "map.npy", pixel_scale=scale)


def test_hdf5_needs_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run.h5").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match="h5py is not installed"):
        read_convergence_map(tmp_path / "run.h5", dataset="kappa")
