"""Summaries from stores, and the observed one: a row, a file, or what the likelihood deems most likely."""

import hashlib
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xarray as xr

from lensdask.compute import require_finished
from lensdask.data import LSS_SUMMARIES
from lensdask.data import open as open_store
from lensdask.data.files import refuse_devices
from lensdask.errors import InputError
from lensdask.lss.compressor import sky_warning
from lensdask.lss.inference.prior import COSMOLOGY, Prior, sigma8_of

__all__ = ["Observation", "Summaries", "read_observation", "read_summaries", "summaries_of"]

Float64 = npt.NDArray[np.float64]

LEAST = 1000
"""Simulations that a likelihood needs at least."""


@dataclass(frozen=True)
class Summaries:
    """Summaries of simulations, beside the parameters that these were made with."""

    names: tuple[str, ...]
    """Parameters, in order."""
    theta: Float64
    """Parameters, shape (sample, parameter)."""
    summary: Float64
    """Summaries, shape (sample, parameter)."""
    compressor_sha256: str
    """Checksum of the compressor."""
    configuration_hash: str
    """Of the store."""
    where: str
    """The store, for messages."""
    priors: str = "table1"
    """Priors of the parameters, one of `lensdask.lss.forward.model.PRIORS`."""
    split: str = "likelihood"
    """Simulations that they are of."""
    sky: str = ""
    """What made the tiles, "lognormal" or "nbody"; empty where nobody knows, as in the next."""
    compressor_sky: str = ""
    """What made the tiles that the compressor learned from."""
    power: Float64 | None = None
    """Power of the maps (see `lensdask.lss.features`), shape (sample, feature); none of older stores."""

    @property
    def cosmologies(self) -> Float64:
        """Different pairs (Ω_m, σ₈), shape (cosmology, 2); none if the two are not among the parameters."""
        if not set(COSMOLOGY) <= set(self.names):
            return np.empty((0, 2))
        pairs = np.unique(self.theta[:, [self.names.index(name) for name in COSMOLOGY]], axis=0)
        return np.stack([pairs[:, 0], sigma8_of(*pairs.T)], axis=1)

    @property
    def sha256(self) -> str:
        """Checksum of the samples."""
        return hashlib.sha256(self.theta.tobytes() + self.summary.tobytes()).hexdigest()

    @property
    def warnings(self) -> list[str]:
        """What speaks against learning from them, a line each."""
        trained = f"the compressor was trained on these {self.split} simulations: constraints are too tight"
        lines = [trained] if self.split in ("training", "validation") else []
        return lines + sky_warning(self.compressor_sky, self.sky)

    def rows(self, chosen: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> "Summaries":
        """Return some of the samples."""
        power = None if self.power is None else self.power[chosen]
        return replace(self, theta=self.theta[chosen], summary=self.summary[chosen], power=power)

    def groups(self, columns: tuple[str, ...] | None = None) -> npt.NDArray[np.int64]:
        """Return a number for each sample, the same for samples of the same parameters.

        Parameters
        ----------
        columns
            The parameters that count; all when none.
        """
        wanted = [self.names.index(name) for name in columns or self.names]
        return np.unique(self.theta[:, wanted], axis=0, return_inverse=True)[1].reshape(-1)

    def require_like(self, other: "Summaries") -> None:
        """Check that others are of the same compressor and parameters.

        Raises
        ------
        InputError
            They are not.
        """
        if other.names != self.names:
            raise InputError(
                f"{other.where}: parameters {', '.join(other.names)}; expected {', '.join(self.names)}, "
                f"those of {self.where}"
            )
        if other.compressor_sha256 != self.compressor_sha256:
            raise InputError(
                f"{other.where}: summaries of compressor {other.compressor_sha256[:12]}…; expected "
                f"{self.compressor_sha256[:12]}…, that of {self.where}"
            )

    def require_in_range(self, summary: Float64, name: str) -> None:
        """Check that an observation lies between the extremes of the summaries, where a likelihood can be learned.

        Parameters
        ----------
        summary
            Shape (parameter,).
        name
            What the message calls it.

        Raises
        ------
        InputError
            It lies outside.
        """
        low, high = self.summary.min(axis=0), self.summary.max(axis=0)
        outside = (summary < low) | (summary > high)
        if outside.any():
            i = int(np.argmax(outside))
            raise InputError(
                f"observation {name}: {self.names[i]} = {summary[i]:.4g} lies outside of the training range; "
                f"expected {low[i]:.4g} to {high[i]:.4g}"
            )

    def require_inside(self, prior: Prior) -> None:
        """Check that the parameters are inside of a prior.

        Raises
        ------
        InputError
            Some are not.
        """
        outside = ~prior.contains(self.theta)
        if outside.any():
            row = int(np.argmax(outside))
            values = ", ".join(f"{name} = {x:.4g}" for name, x in zip(self.names, self.theta[row], strict=True))
            raise InputError(
                f"{self.where}: {int(outside.sum())} of {len(outside)} samples lie outside of the prior, the first in "
                f"row {row} ({values}); expected samples inside of box and hull"
            )


def read_summaries(path: Path, least: int = LEAST) -> Summaries:
    """Read a store of summaries.

    Parameters
    ----------
    path
        Store of the schema ``lss_summaries``.
    least
        Samples that are needed.

    Raises
    ------
    InputError
        It is another store, unfinished, or too small.
    """
    dataset = open_store(path)
    require_finished(path, "lensdask lss predict")
    return summaries_of(dataset, str(path), least)


def summaries_of(dataset: xr.Dataset, where: str, least: int = LEAST) -> Summaries:
    """Return the summaries of a dataset, in memory.

    Parameters
    ----------
    dataset
        Of the schema ``lss_summaries``.
    where
        What messages call it.
    least
        Samples that are needed.

    Raises
    ------
    InputError
        It is of another schema, has too few samples or parameters of one value only, or holds what is not finite.
    """
    schema = dataset.attrs.get("schema")
    if schema != LSS_SUMMARIES.name:
        raise InputError(f"{where}: a store of schema {schema!r}; expected {LSS_SUMMARIES.name!r}")
    LSS_SUMMARIES.validate(dataset)
    try:
        theta, summary = (dataset[name].values.astype(np.float64) for name in ("theta_true", "theta_summary"))
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{where}: cannot be read ({reason}); expected an undamaged store") from error
    for name, values in (("theta_true", theta), ("theta_summary", summary)):
        bad = ~np.isfinite(values).all(axis=1)
        if bad.any():
            raise InputError(
                f"{where}: {name} is not finite in {int(bad.sum())} samples, the first in row {int(np.argmax(bad))}; "
                "expected a finished prediction"
            )
    if len(theta) < least:
        raise InputError(f"{where}: {len(theta)} samples; expected at least {least}")
    names = tuple(dataset.attrs["parameters"])
    if len(names) != theta.shape[1]:
        raise InputError(f"{where}: {theta.shape[1]} columns for {len(names)} parameters; expected one for each")
    still = np.ptp(theta, axis=0) == 0
    if still.any():
        number = int(np.argmax(still))
        raise InputError(
            f"{where}: {names[number]} is {theta[0, number]:.4g} in all samples; expected simulations that vary it"
        )
    attributes = dataset.attrs["compressor_sha256"], dataset.attrs["configuration_hash"]
    about = (LSS_SUMMARIES.attribute(dataset, name) for name in ("priors", "split", "sky", "compressor_sky"))
    found = Summaries(names, theta, summary, *attributes, where, *about)
    return replace(found, power=_power_of(dataset, where))


def _power_of(dataset: xr.Dataset, where: str) -> Float64 | None:
    """Return the power of the maps; none if the store lacks it or it was not computed."""
    if "power" not in dataset:
        return None
    power: Float64 = dataset["power"].values.astype(np.float64)
    if not np.isfinite(power).all():
        raise InputError(f"{where}: power is not finite in some samples; expected a finished prediction")
    return power


@dataclass(frozen=True)
class Observation:
    """An observed summary."""

    summary: Float64
    """Shape (parameter,)."""
    truth: Float64 | None
    """The parameters that it was made with, where they are known, shape (parameter,)."""
    name: str
    """What it is, for people."""
    power: Float64 | None = None
    """Power of its maps, where it is known, shape (feature,)."""


def read_observation(path: Path, names: tuple[str, ...]) -> Observation:
    """Read an observation from a file of NumPy.

    Parameters
    ----------
    path
        ``*.npz`` with an array ``theta_summary``, shape (parameter,), and, if it likes, ``parameters``, their names,
        ``theta_true``, and ``power``, as a store of summaries has it, shape (feature,).
    names
        Names of the parameters, in order.

    Raises
    ------
    InputError
        The file cannot be read, lacks the array, or has other parameters.
    """
    expected = f"expected a .npz file with the array 'theta_summary' of {len(names)} numbers: {', '.join(names)}"
    refuse_devices(path, "a .npz file")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, TypeError, zipfile.BadZipFile, AttributeError, EOFError) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}; {expected}") from error
    if "theta_summary" not in arrays:
        raise InputError(f"{path}: has {', '.join(arrays) or 'no array'}; {expected}")
    if "parameters" in arrays and tuple(map(str, np.ravel(arrays["parameters"]))) != names:
        raise InputError(f"{path}: parameters {', '.join(map(str, np.ravel(arrays['parameters'])))}; {expected}")
    return Observation(
        _numbers(path, "theta_summary", arrays["theta_summary"], len(names)),
        _numbers(path, "theta_true", arrays["theta_true"], len(names)) if "theta_true" in arrays else None,
        path.name,
        _numbers(path, "power", arrays["power"], arrays["power"].size) if "power" in arrays else None,
    )


def _numbers(path: Path, name: str, values: npt.NDArray[np.generic], count: int) -> Float64:
    if values.shape != (count,) or values.dtype.kind not in "fiu":
        raise InputError(f"{path}: {name} has shape {values.shape}, {values.dtype}; expected {count} finite numbers")
    if not np.isfinite(values).all():
        number = int(np.argmin(np.isfinite(values)))
        raise InputError(f"{path}: {name}[{number}] is {values[number]}; expected {count} finite numbers")
    return values.astype(np.float64)
