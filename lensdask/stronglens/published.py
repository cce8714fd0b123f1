"""Published images of strong lenses, one NumPy file each, read without running what is in them."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lensdask.data import LENSES, common_attributes, file_sha256
from lensdask.errors import InputError
from lensdask.stronglens.simulation.presets import Survey, find_survey

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["read_published"]

_FOLDERS = {"no_sub": 0, "no": 0, "none": 0, "cdm": 1, "sphere": 1, "axion": 2, "vort": 2, "vortex": 2}
"""Labels, by the names of folders of the published sets."""


def read_published(directory: str | Path, survey: str | Survey) -> "xr.Dataset":
    """Return the images of a published set: one folder for each class, one file for each image.

    ``lensdask.write(read_published(directory, "euclid"), "lenses.zarr")`` makes a store of them, as does the command
    ``lensdask stronglens import``.

    Parameters
    ----------
    directory
        Has folders no_sub, cdm and axion, or some of them. In them are files NAME.npy, each with one square image; or
        NAME.npz with the arrays ``image`` and ``mass``, the axion mass in eV.
    survey
        Whose pixels they have: "euclid" for Model II (Model A), "hst" for Model III (Model B), or a `Survey`.

    Returns
    -------
    Dataset
        Of the schema ``lenses``, without the parameters, in the order of folders and names of files.

    Raises
    ------
    InputError
        There are no images; or a file has no square image of an even number of pixels, others than the first one, or
        Python objects, which only code that the file brings could read.
    """
    import xarray as xr

    directory, camera = Path(directory), find_survey(survey)
    found = list(_files(directory))
    if not found:
        raise InputError(f"{directory}: no images; expected folders {', '.join(_FOLDERS)} with .npy files")
    images, masses = zip(*(_read(path) for _, path in found), strict=True)
    for (_, path), image in zip(found, images, strict=True):
        if image.shape != images[0].shape:
            raise InputError(f"{path}: {image.shape} pixels; expected {images[0].shape}, as in {found[0][1]}")
    values = {
        "image": (("lens", "y", "x"), np.stack(images)),
        "label": ("lens", np.array([label for label, _ in found], dtype=np.int8)),
        "log10_mass": ("lens", np.log10(np.array(masses)).astype(np.float32)),
    }
    # The same images have the same hash, wherever they lie.
    content = {"files": [file_sha256(path) for _, path in found], "survey": camera.name}
    attributes = common_attributes(LENSES, content) | _attributes(camera)
    return LENSES.described(xr.Dataset(values, {"lens": np.arange(len(found), dtype=np.int64)}, attributes))


def _attributes(survey: Survey) -> dict[str, Any]:
    about = {"preset": "published", "survey": survey.name, "signal": "published", "noise": "none"}
    return about | {"pixel_scale": survey.pixel_scale, "angle": 0.0, "seed": None}


def _files(directory: Path) -> Iterator[tuple[int, Path]]:
    """Yield labels and files."""
    for name, label in _FOLDERS.items():
        folder = directory / name
        if folder.is_dir():
            yield from ((label, path) for path in sorted(folder.iterdir()) if path.suffix in (".npy", ".npz"))


def _read(path: Path) -> tuple[npt.NDArray[np.float32], float]:
    """Return an image, and the axion mass where the file has it."""
    try:
        held = np.load(path, allow_pickle=False)
        if isinstance(held, np.ndarray):
            image, mass = held, np.nan
        else:
            with held:
                image, mass = held["image"], held["mass"].item() if "mass" in held else np.nan
    except (OSError, EOFError, KeyError, ValueError) as error:
        raise InputError(f"{path}: {_told(error)}") from error
    square = image.ndim == 2 and image.shape[0] == image.shape[1] and image.shape[0] % 2 == 0 and image.size > 0
    if not (square and image.dtype.kind in "fiu" and np.isfinite(image).all()):
        raise InputError(
            f"{path}: {image.dtype} of shape {image.shape}; expected a square image of finite numbers, an even number "
            "of pixels on a side"
        )
    if not (np.isnan(mass) or mass > 0):
        raise InputError(f"{path}: mass {mass}; expected a positive axion mass in eV")
    return image.astype(np.float32), float(mass)


def _told(error: Exception) -> str:
    """Return what is wrong with a file, and what to do."""
    if "allow_pickle" in str(error) or "pickle" in str(error):
        return (
            "Python objects, which could run any code, or no array; expected numbers: where you trust the file, unpack "
            "it yourself and write numpy.savez(NAME, image=..., mass=...)"
        )
    return f"{str(error).splitlines()[0]}; expected a .npy file of an image, or .npz with image and mass"
