"""Correlated noise at another zero point: the m of white noise."""

import numpy as np
import pytest
from astropy.io import fits
from coadd_scenes import header, scene

from lensdask.shear import cutouts, measure, read_coadd

SCENES, NOISE, AMPLITUDE = 60, 0.3, 0.03


def shapes_of(path, seed, g1, zero_point, *, correlated):
    """Return e1 and de1_dg1 of the galaxies of a coadd, by object."""
    # Each on a place of its own: ids, which key the renoise, follow from it.
    head = header(turn=0.3, ra=100.0 + seed)
    pixels, psf, ra, dec = scene(
        head, zero_point=zero_point, noise=NOISE, correlated=correlated, g=np.array([g1, 0.0]), seed=seed
    )
    head["MAGZERO"] = zero_point
    fits.writeto(path, pixels, head, overwrite=True)
    shapes = measure(cutouts(read_coadd(path), ra, dec, psf), "fpfs", recentre=True, device="cpu")
    return np.stack([shapes["e1"], shapes["de1_dg1"]])


@pytest.mark.science
def test_correlated_noise_at_another_zero_point_gives_the_m_of_white_noise(tmp_path):
    found = {}
    for name, zero_point, correlated in (
        ("white, zero point 30", 30.0, False),
        ("correlated, zero point 27", 27.0, True),
    ):
        sums = []
        for seed in range(SCENES):
            plus, minus = (
                shapes_of(tmp_path / "coadd.fits", seed, sign * AMPLITUDE, zero_point, correlated=correlated)
                for sign in (1, -1)
            )
            sums.append([(plus - minus)[0].sum(), (plus + minus)[1].sum()])
        sums = np.array(sums)
        chosen = np.random.default_rng(0).integers(SCENES, size=(500, SCENES))
        m = [s[..., 0] / s[..., 1] / AMPLITUDE - 1 for s in (sums.sum(0), sums[chosen].sum(1))]
        found[name] = m[0], m[1].std()
        print(
            f"{name}, {225 * SCENES} galaxies, noise {NOISE} a pixel, fpfs about the centroid: "
            f"m1 = {m[0]:+.1e} ± {m[1].std():.0e}"
        )
    (white, white_error), (correlated, error) = found.values()
    assert error < 3e-3
    assert abs(correlated - white) < 2 * np.hypot(error, white_error)
    assert abs(correlated) < 2e-3 + 2 * error
