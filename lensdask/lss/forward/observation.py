"""What a survey sees of its tiles: eqs. 8 to 13, appendix E and smoothing, for many samples at once.

Convergence is that of lensing and of intrinsic alignment, with the shape noise of the galaxies that are there;
clustering is the contrast of their number. Both kinds of map share the galaxies, whatever the probe. They are scaled as
in appendix E: convergence by (0.005² + σ_e² / N̄)^(-1/2), counts to N / N̄ - 1.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, index_like, is_on_cpu, like, namespace
from lensdask.errors import InputError, check_seed
from lensdask.lss.forward.evolution import Redshifts, evolution
from lensdask.lss.forward.galaxies import expected_counts, without_mean
from lensdask.lss.forward.model import ForwardModel
from lensdask.lss.forward.samples import Samples, check_theta
from lensdask.lss.forward.smoothing import band_limited, smoothed_tiles, smoothing_sigmas
from lensdask.lss.parameters import BINS, FIELDS
from lensdask.random import Stream, normals
from lensdask.stats.poisson import anscombe_counts, poisson_counts

__all__ = ["Observed", "galaxy_counts", "noisy_convergence", "noisy_maps", "observe", "smoothed"]

Float64 = npt.NDArray[np.float64]

_TILES = 16
"""Tiles whose maps fit into the cache of a CPU."""


class Observed(NamedTuple):
    """Maps of a survey.

    Parameters
    ----------
    maps
        Scaled and smoothed, shape (sample, channel, tile, y, x): convergence, then counts, whichever the probe has.
    empty
        Part of the pixels of each bin without a galaxy, shape (sample, bin).
    """

    maps: Array
    empty: Array


def observe(tiles: Array, samples: Samples, model: ForwardModel, galaxies: Redshifts, seed: int) -> Observed:
    """Return what a survey sees of tiles.

    Parameters
    ----------
    tiles
        Noise-free maps of the samples, as `take_tiles` returns them, shape (sample, field, bin, tile, y, x); NumPy,
        torch or CuPy, float32 or float64. On a CPU those of NumPy take half of the time of torch's.
    samples
        Ids and parameters; all that is random is keyed by the id.
    model
        Settings.
    galaxies
        Redshifts of the galaxies in each bin.
    seed
        Seed of the run.

    Returns
    -------
    Observed
        Of the library, the device and the type of the tiles.

    Raises
    ------
    InputError
        Tiles of another shape or not finite, parameters outside the prior of the model, n(z) that is no distribution.
    """
    maps, empty = noisy_maps(tiles, samples, model, galaxies, seed)
    return Observed(smoothed(maps, model, galaxies), empty)


def noisy_maps(tiles: Array, samples: Samples, model: ForwardModel, galaxies: Redshifts, seed: int) -> Observed:
    """Return what `observe` returns before it is smoothed; arguments and errors as there."""
    check_seed(seed)
    check_theta(samples.theta, model)
    _check_tiles(tiles, samples, model)
    if not is_on_cpu(tiles):
        return _noisy_maps(tiles, samples, model, galaxies, seed)
    # Few at once, the maps of a sample stay in the cache of a CPU, which saves a third of the time.
    step = max(1, _TILES // model.tiles)
    rows = (slice(i, i + step) for i in range(0, len(tiles), step))
    seen = [_noisy_maps(tiles[row], samples.rows(row), model, galaxies, seed) for row in rows]
    return Observed(*(namespace(tiles).concat(parts) for parts in zip(*seen, strict=True)))


def _noisy_maps(tiles: Array, samples: Samples, model: ForwardModel, galaxies: Redshifts, seed: int) -> Observed:
    """Return what `noisy_maps` returns, for tiles that are checked."""
    counts = galaxy_counts(tiles[:, 2, ...], samples, model, galaxies, seed)
    xp, channels = namespace(tiles), []
    if model.probe != "clustering":
        kappa = noisy_convergence(tiles[:, 0, ...], tiles[:, 1, ...], counts, samples, model, galaxies, seed)
        channels.append(kappa * model.convergence_scale)
    if model.probe != "lensing":
        channels.append(counts / model.mean_count - 1)
    maps = xp.concat(channels, axis=1) if len(channels) > 1 else channels[0]
    return Observed(maps, xp.mean(xp.astype(counts == 0, tiles.dtype), axis=(2, 3, 4)))


def smoothed(maps: Array, model: ForwardModel, galaxies: Redshifts) -> Array:
    """Return maps smoothed as a model says, and without the waves above its limit.

    Parameters
    ----------
    maps
        Shape (sample, channel, tile, y, x).
    model, galaxies
        As for `observe`.
    """
    smooth = smoothed_tiles(maps, smoothing_sigmas(model, galaxies), model.pixel_scale)
    return smooth if model.ell_max is None else band_limited(smooth, model.ell_max, model.pixel_scale)


def galaxy_counts(delta: Array, samples: Samples, model: ForwardModel, galaxies: Redshifts, seed: int) -> Array:
    """Return the number of galaxies of each pixel, eqs. 9, 10, 12 and 13.

    Parameters
    ----------
    delta
        Density contrast of matter, shape (sample, bin, tile, y, x); that of a tile is taken about its own mean, eq. 7.
    samples, model, galaxies, seed
        As for `observe`.
    """
    value = _named(samples, model)
    mean = namespace(delta).mean(delta, axis=(-2, -1), keepdims=True)
    b, b2 = (
        value[amplitude][:, None] * evolution(value[eta], galaxies)
        for amplitude, eta in (("b_g", "eta_b"), ("b_g2", "eta_b2"))
    )
    expected = expected_counts((delta - mean) / (1 + mean), b, b2, value["r_g"], samples.ids, model, seed)
    if model.counts == "mean":
        return expected
    draw = poisson_counts if model.counts == "poisson" else anscombe_counts
    return draw(expected, samples.ids, seed)


def noisy_convergence(
    lensing: Array,
    alignment: Array,
    counts: Array,
    samples: Samples,
    model: ForwardModel,
    galaxies: Redshifts,
    seed: int,
) -> Array:
    """Return the convergence that galaxies show, eqs. 6, 8 and 11; 0 where there is none, if noise goes as 1 / √N.

    Parameters
    ----------
    lensing, alignment
        Convergence, and that of intrinsic alignment at A_IA = 1, shape (sample, bin, tile, y, x).
    counts
        Galaxies of each pixel, of the same shape.
    samples, model, galaxies, seed
        As for `observe`.
    """
    xp, value = namespace(lensing), _named(samples, model)
    amplitude = value["a_ia"][:, None] * evolution(value["eta_ia"], galaxies)
    kappa = without_mean(lensing + like(amplitude[:, :, None, None, None], lensing) * alignment)
    if model.shape_noise == "none":
        return kappa
    count = int(np.prod(kappa.shape[1:]))
    white = normals(index_like(samples.ids, kappa), count, seed, Stream.SHAPE_NOISE)
    white = model.sigma_e * xp.astype(xp.reshape(white, kappa.shape), kappa.dtype)
    if model.shape_noise == "released":
        return kappa + white / xp.sqrt(counts + 1)
    return xp.where(counts > 0, kappa + white / xp.sqrt(xp.clip(counts, min=1e-6)), 0.0)


def _named(samples: Samples, model: ForwardModel) -> dict[str, Float64]:
    """Return the values of each parameter by name; 0 for those that a linear bias lacks."""
    zero = np.zeros(len(samples.theta))
    return {"b_g2": zero, "eta_b2": zero, **dict(zip(model.parameters, samples.theta.T, strict=True))}


def _check_tiles(tiles: Array, samples: Samples, model: ForwardModel) -> None:
    """Refuse tiles of another shape than that of the samples, or that are not finite."""
    expected = (len(samples.ids), len(FIELDS), BINS, model.tiles)
    if tiles.ndim != 6 or tuple(tiles.shape[:4]) != expected or len(samples.theta) != len(samples.ids):
        raise InputError(
            f"tiles: shape {tuple(tiles.shape)}, {len(samples.theta)} rows of theta; expected {expected} and y, x"
        )
    xp = namespace(tiles)
    # One number: a sum is not finite if any of its terms is not.
    if not bool(xp.isfinite(xp.sum(tiles))):
        raise InputError("tiles: a pixel is not finite; expected finite maps of convergence and density contrast")
