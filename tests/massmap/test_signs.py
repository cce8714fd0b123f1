"""A Kaiser-Squires map tells wrong signs of a shear from right ones, where the mass stands out of the noise."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from astropy.table import Table
from command_line import call
from scipy.ndimage import gaussian_filter

import lensdask
from lensdask.data.catalogues.columns import CatalogueWarning
from lensdask.maps.fields import shear_dataset
from lensdask.maps.mock import Survey, observe
from lensdask.massmap import check_signs
from lensdask.massmap.classical.ks93 import kaiser_squires
from lensdask.sky import read_convergence_map
from lensdask.sky.lensing import shear_of_convergence
from lensdask.sky.simulate import SkyConfig, simulate_sky

PIXEL_SCALE = 0.82

REAL = Path(__file__).parents[3] / "shared" / "data" / "maps" / "massivenus_kappa_zs1_320px_0.41arcmin.fits"


def observed(fields: int, density: float) -> xr.Dataset:
    ids = np.arange(fields)
    sky = simulate_sky(ids, SkyConfig(size=96, pixel_scale=PIXEL_SCALE), 0)
    maps = observe(ids, sky.g1, sky.g2, Survey(density=density, mask_fraction=0.1), PIXEL_SCALE, 0)
    return shear_dataset(
        maps, count=maps.weight, pixel_scale=PIXEL_SCALE, density=density, sigma_e=0.24, source=None, centre=None
    )


@pytest.fixture(scope="module")
def deep() -> xr.Dataset:
    return observed(6, 100.0)


def suspicions(maps: xr.Dataset) -> list[str]:
    lines: list[str] = []
    check_signs(maps, warn=lines.append)
    return lines


def test_right_signs_are_not_suspected(deep: xr.Dataset) -> None:
    assert suspicions(deep) == []
    assert suspicions(observed(2, 10.0)) == []


def test_both_signs_reversed(deep: xr.Dataset) -> None:
    wrong = deep.assign(g1=-deep["g1"], g2=-deep["g2"])
    (line,) = suspicions(wrong)
    assert line.startswith("the E mode has a skewness of -")
    assert line.endswith("may be reversed: flip_g1=True, flip_g2=True")
    with pytest.warns(CatalogueWarning, match="the E mode has a skewness of -"):
        check_signs(wrong)


def test_components_that_make_a_b_mode(deep: xr.Dataset) -> None:
    # The shear turned by 45 degrees.
    (line,) = suspicions(deep.assign(g1=deep["g2"], g2=-deep["g1"]))
    assert line.startswith("the B mode has ")


def test_noise_alone_is_not_suspected() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        g1, g2 = rng.normal(0, 0.1, (2, 2, 64, 64))
        ones = np.ones_like(g1)
        maps = xr.Dataset(
            {
                name: (("field", "y", "x"), values)
                for name, values in {
                    "g1": g1,
                    "g2": g2,
                    "weight": 100 * ones,
                    "measurement_error": 0 * ones,
                    "mask": ones,
                }.items()
            },
            attrs={"pixel_scale": PIXEL_SCALE},
        )
        assert suspicions(maps) == []


def test_fields_without_shear_say_nothing(deep: xr.Dataset) -> None:
    assert suspicions(deep.assign(g1=0 * deep["g1"], g2=0 * deep["g2"])) == []


@pytest.fixture(scope="module")
def mirrored_catalogue(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """Save 50 galaxies per arcmin² behind a real sky whose g1 has the other sign, and return its convergence."""
    if not REAL.exists():
        pytest.skip("the MassiveNuS map is not in ../shared/data")
    kappa = read_convergence_map(REAL, pixel_scale=PIXEL_SCALE / 2)[0].astype(np.float64)
    side, rng = len(kappa), np.random.default_rng(1)
    x, y = rng.uniform(-side / 2, side / 2, (2, 860_000))
    row, column = (np.floor(position + side / 2).astype(int) for position in (y, x))
    shear = np.array(shear_of_convergence(kappa))[:, row, column] / (1 - kappa[row, column])
    g1, g2 = shear + rng.normal(0, 0.24, (2, len(x)))
    path = tmp_path_factory.mktemp("mirrored") / "galaxies.fits"
    Table({"ra": x * PIXEL_SCALE / 2, "dec": y * PIXEL_SCALE / 2, "g1": -g1, "g2": g2}).write(path)
    return path, kappa.reshape(side // 2, 2, side // 2, 2).mean(axis=(1, 3))


@pytest.mark.parametrize(
    ("flip", "correlation", "words"),
    [("--flip-g1", 0.885, []), ("--flip-g2", -0.885, ["the E mode has a skewness of -"])],
)
def test_the_sign_that_is_reversed_and_the_other(
    tmp_path, monkeypatch, capfd, mirrored_catalogue, flip, correlation, words
):
    """A map of the wrong pair, (g1, -g2) for (-g1, g2), looks as good: nothing but its skewness tells."""
    path, kappa = mirrored_catalogue
    monkeypatch.chdir(tmp_path)
    options = (
        "--flat",
        "--columns",
        "ra,dec,g1,g2",
        "--pixel-scale",
        PIXEL_SCALE,
        "--shape",
        "160,160",
        "--centre=0,0",
    )
    assert call(monkeypatch, "massmap", "bin", path, "maps.zarr", *options, flip) == 0
    told = [line for line in capfd.readouterr().err.splitlines() if "mode" in line]
    assert len(told) == len(words)
    assert all(word in line for word, line in zip(words, told, strict=True))
    maps = lensdask.open("maps.zarr").load()
    e, b = kaiser_squires(maps["g1"][0].values, maps["g2"][0].values, pixel_scale=PIXEL_SCALE, smoothing=1.5)
    truth = gaussian_filter(kappa, 1.5 / PIXEL_SCALE, mode="wrap")
    assert np.corrcoef(e.ravel(), truth.ravel())[0, 1] == pytest.approx(correlation, abs=0.03)
    assert e.var() > 3 * b.var()
