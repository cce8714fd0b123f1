"""A survey whose likelihood is known: summaries are the seven parameters with correlated Gaussian noise.

The noise of a parameter is about 1/20 of its prior and depends on another parameter: no two posteriors are alike.
"""

import numpy as np

from lensdask.data import LSS_SUMMARIES, common_attributes, write
from lensdask.lss.inference.prior import make_prior
from lensdask.lss.inference.summaries import summaries_of
from lensdask.lss.parameters import LINEAR

CORNERS = np.array([(0.16, 0.80), (0.16, 1.15), (0.25, 1.10), (0.44, 0.85), (0.44, 0.52), (0.25, 0.62)])
"""Simulated cosmologies between which the others lie."""

PRIOR = make_prior(LINEAR, CORNERS)

_WIDTH = PRIOR.high - PRIOR.low
_MIXING = np.linalg.cholesky(0.7 * np.eye(7) + 0.3)


def scatter(theta):
    """Return the standard deviation of each summary, shape (..., 7)."""
    unit = (theta - PRIOR.low) / _WIDTH
    return 0.047 * _WIDTH * (1 + 0.5 * (np.roll(unit, 1, axis=-1) - 0.5))


def observe(theta, rng):
    """Return summaries of parameters, shape (n, 7)."""
    return theta + scatter(theta) * (rng.standard_normal(theta.shape) @ _MIXING.T)


def log_likelihood(observed):
    """Return the true log p(observed | θ), up to a constant, as a function of θ, shape (..., walker, 7)."""

    def value(theta):
        residual = (observed[..., None, :] - theta) / scatter(theta)
        white = residual @ np.linalg.inv(_MIXING).T
        return -0.5 * (white**2).sum(-1) - np.log(scatter(theta)).sum(-1)

    return value


def toy_dataset(count, seed=0, **attributes):
    """Return simulated summaries as a dataset."""
    import xarray as xr

    rng = np.random.default_rng(seed)
    theta = PRIOR.sample(count, rng)
    return xr.Dataset(
        {
            "theta_true": (("sample", "parameter"), theta.astype(np.float32)),
            "theta_summary": (("sample", "parameter"), observe(theta, rng).astype(np.float32)),
        },
        coords={"sample": np.arange(count)},
        attrs=common_attributes(LSS_SUMMARIES, {"toy": count, "seed": seed})
        | {
            "parameters": list(LINEAR),
            "compressor_sha256": "0" * 64,
            "compressor": "toy",
            "probe": "combined",
            "summary": "power",
            "tiles_hash": "0" * 64,
            "split": "likelihood",
            "seed": seed,
        }
        | attributes,
    )


def toy_summaries(count, seed=0):
    """Return simulated summaries."""
    return summaries_of(toy_dataset(count, seed), "toy.zarr")


def write_toy(path, count, seed=0, **attributes):
    """Write a store of simulated summaries."""
    write(toy_dataset(count, seed, **attributes), path)
    return path
