"""The galaxies of a simulation: which ones, seen how, and their stamps under four shears."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, held_on
from lensdask.compute import NOT_IDENTITY
from lensdask.data import check_unchanged
from lensdask.errors import check_seed
from lensdask.shear.noise import draw_image_noise
from lensdask.shear.simulation.catsim import CatSim, Galaxies, MockCatSim, galaxies, read_catsim
from lensdask.shear.simulation.observation import Observation, draw_stamps, noise_of
from lensdask.shear.simulation.render import render_stamps

__all__ = ["GalaxySource", "Simulation", "galaxy_source", "observed_stamps"]


@dataclass(frozen=True)
class GalaxySource:
    """Where simulated galaxies come from."""

    path: str | None = field(metadata=NOT_IDENTITY)
    """The user's CatSim file; the parametric mock when none."""
    magnitude_limit: float
    """Galaxies are brighter than this in i."""
    fingerprint: str
    """Checksum of the galaxies."""

    def read(self) -> MockCatSim | CatSim:
        """Return the catalogue, from memory if this process has read it before.

        Raises
        ------
        InputError
            It cannot be read, or its galaxies are others than when the run began.
        """
        found = _read(self.path, self.magnitude_limit)
        check_unchanged(self.path, found.fingerprint, self.fingerprint, "galaxies")
        return found


@lru_cache(maxsize=2)
def _read(path: str | None, magnitude_limit: float) -> MockCatSim | CatSim:
    return MockCatSim(magnitude_limit) if path is None else read_catsim(path, magnitude_limit)


def galaxy_source(catalogue: Path | None, magnitude_limit: float) -> GalaxySource:
    """Return where galaxies come from: the user's CatSim file, or the parametric mock.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    path = None if catalogue is None else str(catalogue.resolve())
    return GalaxySource(path, magnitude_limit, _read(path, magnitude_limit).fingerprint)


@dataclass(frozen=True)
class Simulation:
    """Simulated galaxies: 2p and 2p + 1 are an orthogonal pair."""

    observation: Observation
    """PSF, pixels, noise, shear."""
    catalogue: GalaxySource
    """Where the galaxies come from."""
    seed: int
    """Seed of galaxies, orientations and noise."""

    def __post_init__(self) -> None:
        check_seed(self.seed)

    def galaxies(self, start: int, stop: int) -> tuple[Galaxies, npt.NDArray[np.int64]]:
        """Return catalogue rows and ids of the galaxies from `start` to before `stop`."""
        ids = np.arange(start, stop, dtype=np.int64)
        pairs, member = np.unique(ids // 2, return_inverse=True)
        return galaxies(self.catalogue.read(), self.seed, pairs)[member], ids


def observed_stamps(
    rows: Galaxies, ids: npt.NDArray[np.int64], observation: Observation, seed: int, device: str = "cpu"
) -> Array:
    """Return stamps under the four shears with one noise realisation per galaxy, shape (galaxy, 4, n, n).

    On the CPU they are NumPy's, on "cuda" torch's.
    """
    if observation.renderer == "galsim":
        images = held_on(draw_stamps(rows, ids, observation, seed), device)
    else:
        images = render_stamps(rows, ids, observation, seed, device=None if device == "cpu" else device)
    if observation.noise_sigma > 0:
        images += draw_image_noise(held_on(ids, device), observation.size, noise_of(observation), seed)[:, None]
    return images
