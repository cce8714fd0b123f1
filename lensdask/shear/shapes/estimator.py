"""The estimators of the ellipticity, by name: FPFS with any settings, the shipped networks, anybody's weights."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lensdask.compute import NOT_IDENTITY
from lensdask.errors import InputError
from lensdask.shear.shapes.d4cnn import build_d4cnn
from lensdask.shear.shapes.fpfs import FPFS
from lensdask.training import find_weights, weights_file

__all__ = ["SHIPPED_WEIGHTS", "Estimator", "estimators", "find_estimator"]

SHIPPED_WEIGHTS = {
    name: Path(__file__).parents[1] / "weights" / f"{name}.safetensors"
    for name in ("d4cnn", "d4cnn-wide", "d4cnn-fpfs", "d4cnn-paper", "d4cnn-relu", "cnn")
}
"""Files of the networks that come with the package: the best one for galaxies alone; one for coadds, where they have
neighbours; a small and the paper's, which learned FPFS ellipticities; and two ablations of the small one."""

_WIDEST = 10.0
"""Arcsec; no stamp has room for a wider kernel."""


@dataclass(frozen=True)
class Estimator:
    """Which estimator measures the ellipticity; small enough to travel with every task."""

    name: str = field(metadata=NOT_IDENTITY)
    """``fpfs``, ``fpfs:SIGMA,C``, ``d4cnn`` or the path of a network."""
    path: str | None = field(default=None, metadata=NOT_IDENTITY)
    """File of the network's weights, or the name of a shipped one, which workers find where they are installed; none
    for FPFS."""
    sha256: str | None = None
    """Checksum of these weights."""
    sigma: float = FPFS.sigma
    """Scale of FPFS, arcsec, where it measures the ellipticity."""
    C: float = FPFS.C
    """Its weighting constant."""
    kernel_fwhm: float | None = None
    """FWHM of the resmoothing kernel of a network, arcsec; that of its training when none."""
    recentre: bool = False
    """Whether galaxies are measured about their centroids instead of the middle of their stamps."""

    @property
    def weights(self) -> Path:
        """File of the network's weights on this machine."""
        return weights_file(str(self.path), SHIPPED_WEIGHTS)

    @property
    def fpfs(self) -> FPFS:
        """Settings of FPFS, where it measures the ellipticity."""
        return FPFS(self.sigma, self.C)


def estimators() -> list[str]:
    """Return the names of the estimators that come with the package: FPFS, then the networks.

    `find_estimator` takes these, with settings, and weights of your own.
    """
    return ["fpfs", *SHIPPED_WEIGHTS]


def find_estimator(name: str | Path, *, recentre: bool = False) -> Estimator:
    """Return the estimator of a name.

    Parameters
    ----------
    name
        ``fpfs``; ``fpfs:SIGMA,C``, such as ``fpfs:0.70,25``, for FPFS with another scale (arcsec) and weighting
        constant (flux at zero point 30); a network that comes with the package, ``d4cnn``, ``d4cnn-wide``,
        ``d4cnn-fpfs``, ``d4cnn-paper``, ``d4cnn-relu`` or ``cnn``; or the path of a network's weights.
        ``NETWORK:FWHM``, such as ``d4cnn:0.935``, resmooths with another kernel than the network was trained with
        (arcsec).
    recentre
        Whether it measures galaxies about their centroids.

    Raises
    ------
    InputError
        There is no such estimator, or its weights cannot be read.
    """
    method, _, settings = str(name).partition(":")
    if method == "fpfs":
        return replace(_fpfs_estimator(str(name), settings), recentre=recentre)
    network, kernel_fwhm = _network_and_kernel(str(name))
    unknown = f"estimator {str(name)!r} is unknown; expected fpfs"
    found = find_weights(network, SHIPPED_WEIGHTS, build_d4cnn, unknown)
    return Estimator(str(name), found.location, found.sha256, kernel_fwhm=kernel_fwhm, recentre=recentre)


def _network_and_kernel(name: str) -> tuple[str, float | None]:
    """Split ``NETWORK:FWHM``; a path may have colons of its own."""
    network, _, fwhm = name.rpartition(":")
    if not network or fwhm.endswith(".safetensors"):
        return name, None
    try:
        width = float(fwhm)
    except ValueError:
        width = np.nan
    if not 0 < width <= _WIDEST:
        wanted = f"a kernel of {_WIDEST:g} arcsec at the most such as d4cnn:0.935"
        raise InputError(f"estimator {name!r}: expected NETWORK:FWHM, {wanted}")
    return network, width


def _fpfs_estimator(name: str, settings: str) -> Estimator:
    if name == "fpfs":
        return Estimator(name)
    try:
        sigma, C = map(float, settings.split(","))
    except ValueError:
        sigma = C = np.nan
    if not (0 < sigma <= _WIDEST and 0 < C < np.inf):
        wanted = f"two positive numbers such as fpfs:0.70,25, SIGMA {_WIDEST:g} arcsec at the most"
        raise InputError(f"estimator {name!r}: expected fpfs:SIGMA,C, {wanted}")
    return Estimator(name, sigma=sigma, C=C)
