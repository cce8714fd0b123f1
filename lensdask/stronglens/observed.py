"""Datasets of lenses from anybody's images."""

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, to_numpy
from lensdask.data import LENSES, common_attributes
from lensdask.errors import InputError
from lensdask.stronglens.simulation.presets import CLASSES, Survey, find_survey

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["UNKNOWN", "make_lenses"]

UNKNOWN = "unknown"
"""Preset and signal of lenses that nobody simulated."""


def make_lenses(
    images: Array,
    survey: str | Survey,
    *,
    label: Array | None = None,
    log10_mass: Array | None = None,
    lens: Array | None = None,
) -> "xr.Dataset":
    """Make a dataset of lenses of images that you have, for `lensdask.stronglens.classify`; `lensdask.write` stores it.

    Parameters
    ----------
    images
        Electrons per second without the sky and the light of the lens, shape (lens, n, n), indexed [y, x], n even, the
        lens near the geometric centre, (n - 1) / 2 on both axes. Networks that see images alone do not notice the unit.
    survey
        Pixels, PSF and noise: "euclid", "hst", or a `Survey`.
    label
        Classes where they are known: 0 none, 1 subhaloes, 2 a vortex; -1, as all are when none, is not known.
    log10_mass
        log10 (m / eV), NaN where there is none or it is not known, as for all when none.
    lens
        Distinct ids, zero or more; 0, 1, 2, ... when none.

    Raises
    ------
    InputError
        Images are not square and finite with an even number of pixels, ids repeat, a label is none of the four, or a
        length is another one.
    """
    import xarray as xr

    pixels, camera = np.asarray(to_numpy(images), dtype=np.float32), find_survey(survey)
    if pixels.ndim != 3 or pixels.shape[1] != pixels.shape[2] or pixels.shape[2] % 2 or not pixels.size:
        raise InputError(f"images: shape {pixels.shape}; expected (lens, n, n), n even")
    count = len(pixels)
    ids = _column("lens", np.arange(count) if lens is None else lens, count, np.int64)
    if ids.min() < 0 or len(np.unique(ids)) < count:
        raise InputError("lens: ids repeat or are negative; expected distinct ids, zero or more")
    bad = ~np.isfinite(pixels).all(axis=(1, 2))
    if bad.any():
        raise InputError(f"images: that of lens {ids[np.argmax(bad)]} is not finite; expected finite pixels")
    labels = _column("label", np.full(count, -1) if label is None else label, count, np.int8)
    if not np.isin(labels, range(-1, len(CLASSES))).all():
        raise InputError(f"label: {np.unique(labels).tolist()}; expected -1 to {len(CLASSES) - 1}")
    masses = _column("log10_mass", np.full(count, np.nan) if log10_mass is None else log10_mass, count, np.float32)
    values = {"image": (("lens", "y", "x"), pixels), "label": ("lens", labels), "log10_mass": ("lens", masses)}
    # The hash stands for the pixels: a resumed run must notice that they were replaced.
    content = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in (ids, pixels, labels, masses)))
    about = {"preset": UNKNOWN, "survey": camera.name, "signal": UNKNOWN, "noise": "survey", "angle": 0.0, "seed": None}
    attributes = common_attributes(LENSES, {"survey": camera.name, "content": content.hexdigest()}) | about
    return LENSES.described(xr.Dataset(values, {"lens": ids}, attributes | {"pixel_scale": camera.pixel_scale}))


def _column(name: str, values: Array, count: int, dtype: type) -> npt.NDArray[Any]:
    """Return one number for each lens."""
    array = np.asarray(to_numpy(values))
    fits = array.dtype.kind in ("f" if dtype is np.float32 else "iu")
    if array.shape != (count,) or not fits:
        kind = "numbers" if dtype is np.float32 else "whole numbers"
        raise InputError(f"{name}: {array.dtype} of shape {array.shape}; expected {count} {kind}")
    return array.astype(dtype)
