"""Simulated maps beside one real map of MassiveNuS (sources at redshift 1), on the same 320² pixels of 0.41 arcmin.

What is compared is the mean over many simulated fields with the numbers of the one real field. The scatter from field
to field, printed by ``pytest -s``, is the error of the real field's numbers: 5 deg² do not say more.
"""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from lensdask.conventions import ARCMIN
from lensdask.sky import SkyConfig, convergence_power, read_convergence_map, simulate_sky
from lensdask.stats import local_maxima, map_moments, ring_power

REAL = Path(__file__).parents[3] / "shared" / "data" / "maps" / "massivenus_kappa_zs1_320px_0.41arcmin.fits"
CONFIG = SkyConfig(size=320, pixel_scale=0.41)
EDGES = np.array([500.0, 1000.0, 2000.0, 4000.0])
HEIGHTS = (0.05, 0.1, 0.2)
DEG2 = (320 * 0.41 / 60) ** 2


def one_point(kappa: np.ndarray) -> np.ndarray:
    """Standard deviation, skewness, and peaks per deg² above the heights."""
    height = local_maxima(kappa)[2]
    return np.array([*map_moments(kappa), *(np.count_nonzero(height > h) / DEG2 for h in HEIGHTS)])


def target_power() -> np.ndarray:
    """Theory at the resolution of MassiveNuS, averaged over the waves of each ring."""
    wave = 2 * np.pi * np.fft.fftfreq(1024, 0.41 * ARCMIN)
    ell = np.hypot(wave[:, None], wave[None, :])
    values = convergence_power("zs1.0").smoothed(CONFIG.resolution).at(ell)
    return np.array([values[(ell >= low) & (ell < high)].mean() for low, high in pairwise(EDGES)])


def report(name: str, rows: np.ndarray, beside: np.ndarray) -> np.ndarray:
    mean, scatter = rows.mean(axis=0), rows.std(axis=0, ddof=1)
    print(
        f"\n{name}: mean, scatter of one field, beside: ",
        *(f"{a:.4g} ± {b:.2g} | {c:.4g}" for a, b, c in zip(mean, scatter, beside, strict=True)),
        sep="\n  ",
    )
    return mean


def check_against_massivenus(config: SkyConfig, fields: int) -> None:
    if not REAL.exists():
        pytest.skip("the MassiveNuS map is not in ../shared/data")
    real = one_point(read_convergence_map(REAL, pixel_scale=0.41)[0])
    maps = [simulate_sky([one], config, seed=1).kappa[0] for one in range(fields)]
    power = report("power", ring_power(np.array(maps), 0.41, EDGES)[1] / target_power(), np.ones(3))
    np.testing.assert_array_less(np.abs(power - 1), 0.1)
    std, skewness, *peaks = report("std, skewness, peaks", np.array([one_point(kappa) for kappa in maps]), real)
    assert std == pytest.approx(real[0], rel=0.1)
    assert skewness == pytest.approx(real[1], rel=0.25)
    np.testing.assert_array_less(np.abs(np.log(np.array(peaks) / real[2:])), np.log(1.5))


@pytest.mark.parametrize("fields", [24, pytest.param(200, marks=pytest.mark.science)])
def test_lognormal_sky_has_the_statistics_of_massivenus(fields: int) -> None:
    check_against_massivenus(CONFIG, fields)


@pytest.mark.science
def test_halo_sky_has_the_statistics_of_massivenus() -> None:
    check_against_massivenus(replace(CONFIG, generator="halo"), 100)
