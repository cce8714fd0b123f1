"""Coadds of galaxies under a known shear on the sky, drawn by GalSim."""

import galsim
import numpy as np
from astropy.wcs import WCS
from scipy import ndimage

SIDE, SPACING, SCALE, NOISE = 1100, 68, 0.2, 0.05
G = np.array([0.05, -0.03])


def header(turn=0.6, mirror=False, ra=150.0):
    """A tangent plane whose pixels are turned, and east on the wrong side if it is mirrored."""
    cos, sin, side = np.cos(turn), np.sin(turn), 1 if mirror else -1
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [ra, 40.0], [SIDE / 2, SIDE / 2]
    wcs.wcs.cd = SCALE / 3600 * np.array([[side * cos, side * -sin], [sin, cos]])
    return wcs.to_header()


def scene(head, zero_point=30.0, noise=NOISE, correlated=False, g=G, seed=4):
    """A grid of pairs of galaxies, each anywhere in its pixel, under one shear on the sky; and where they are."""
    rng, wcs = np.random.default_rng(seed), WCS(head)
    image, of_galsim = galsim.ImageD(SIDE, SIDE, xmin=0, ymin=0), galsim.AstropyWCS(wcs=wcs)
    psf = galsim.Moffat(fwhm=0.7, beta=2.5)
    nodes = np.arange(SPACING, SIDE - SPACING, SPACING)
    x, y = (axis.ravel() + rng.uniform(-0.5, 0.5, axis.size) for axis in np.meshgrid(nodes, nodes))
    disc = None
    for number, (px, py) in enumerate(zip(x, y, strict=True)):
        if number % 2 == 0:
            disc = galsim.Exponential(half_light_radius=rng.uniform(0.25, 0.5), flux=300).shear(
                q=rng.uniform(0.4, 0.9), beta=rng.uniform(0, np.pi) * galsim.radians
            )
        turned = disc.rotate(90 * (number % 2) * galsim.degrees).shear(g1=g[0], g2=g[1])
        # AstroPy counts from 1 in GalSim's hands.
        local = of_galsim.local(galsim.PositionD(px + 1, py + 1))
        stamp = galsim.Convolve(turned, psf).drawImage(
            nx=60, ny=60, wcs=local, dtype=np.float64, center=galsim.PositionD(px, py)
        )
        image[stamp.bounds & image.bounds] += stamp[stamp.bounds & image.bounds]
    white = rng.normal(size=(SIDE, SIDE))
    if correlated:
        white = ndimage.gaussian_filter(white, 0.8, mode="wrap")
        white /= white.std()
    flux = 10 ** (0.4 * (zero_point - 30))
    middle = of_galsim.local(galsim.PositionD(SIDE / 2, SIDE / 2))
    of_psf = psf.drawImage(nx=49, ny=49, wcs=middle, dtype=np.float64).array
    pixels = flux * (image.array + noise * white)
    return pixels.astype(np.float32), of_psf, *wcs.all_pix2world(x, y, 0)
