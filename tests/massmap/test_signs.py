"""A Kaiser-Squires map tells wrong signs of a shear from right ones, where the mass stands out of the noise."""

import numpy as np
import pytest
import xarray as xr

from lensdask.data.catalogues.columns import CatalogueWarning
from lensdask.maps.fields import shear_dataset
from lensdask.maps.mock import Survey, observe
from lensdask.massmap import check_signs
from lensdask.sky.simulate import SkyConfig, simulate_sky

PIXEL_SCALE = 0.82


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
