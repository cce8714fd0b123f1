"""Features of maps that show whether they are like the simulations: the power of each map in bands of multipole.

Summaries say what a network takes the parameters to be, and nothing of what it has not been trained to see: noise that
is stronger than it should be, structures that simulations lack. The power of the maps shows at least the first.
"""

import numpy as np

from lensdask.arrays import Array, index_like, namespace, to_numpy
from lensdask.lss.spectra import pairs

__all__ = ["BANDS", "power_features"]

BANDS = 4
"""Bands of multipole, of as many bins each."""


def power_features(spectra: Array, maps: int) -> Array:
    """Return the logarithms of the power of each map in bands of multipole.

    Parameters
    ----------
    spectra
        From `lensdask.lss.power_spectra`, shape (sample, pair, bin); bins without modes are 0 and left out.
    maps
        Number of maps.

    Returns
    -------
    Array
        Shape (sample, map * band), the bands of the first map first.
    """
    xp = namespace(spectra)
    autos = index_like(np.array([k for k, (i, j) in enumerate(pairs(maps)) if i == j]), spectra)
    power = xp.take(spectra, autos, axis=1)
    # One question to a device, which the host waits for.
    known = np.flatnonzero(to_numpy(xp.any(power > 0, axis=(0, 1))))
    parts = [index_like(part, spectra) for part in np.array_split(known, BANDS)]
    bands = xp.stack([xp.mean(xp.take(power, part, axis=2), axis=2) for part in parts], axis=2)
    return xp.log(xp.reshape(bands, (bands.shape[0], -1)))
