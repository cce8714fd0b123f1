"""The estimators of the ellipticity, by name: FPFS with any settings, the shipped networks, anybody's weights."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lensdask.compute import NOT_IDENTITY, cached_model
from lensdask.data import load_card
from lensdask.errors import InputError
from lensdask.shear.shapes.d4cnn import build_d4cnn
from lensdask.shear.shapes.fpfs import FPFS

__all__ = ["SHIPPED", "Estimator", "estimators", "find_estimator"]

SHIPPED = {
    name: Path(__file__).parents[1] / "weights" / f"{name}.safetensors"
    for name in ("d4cnn", "d4cnn-fpfs", "d4cnn-paper", "d4cnn-relu", "cnn")
}
"""Networks that come with the package: the best one; a small and the paper's, which learned FPFS ellipticities; and two
ablations of the small one."""


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

    @property
    def weights(self) -> Path:
        """File of the network's weights on this machine."""
        return SHIPPED.get(str(self.path), Path(str(self.path)))

    @property
    def fpfs(self) -> FPFS:
        """Settings of FPFS, where it measures the ellipticity."""
        return FPFS(self.sigma, self.C)


def estimators() -> list[str]:
    """Return the names of the estimators that come with the package: FPFS, then the networks.

    `find_estimator` takes these, with settings, and weights of your own.
    """
    return ["fpfs", *SHIPPED]


def find_estimator(name: str | Path) -> Estimator:
    """Return the estimator of a name.

    Parameters
    ----------
    name
        ``fpfs``; ``fpfs:SIGMA,C``, such as ``fpfs:0.70,25``, for FPFS with another scale (arcsec) and weighting
        constant (flux at zero point 30); a network that comes with the package, ``d4cnn``, ``d4cnn-fpfs``,
        ``d4cnn-paper``, ``d4cnn-relu`` or ``cnn``; or the path of a network's weights. ``NETWORK:FWHM``, such as
        ``d4cnn:0.935``, resmooths with another kernel than the network was trained with (arcsec).

    Raises
    ------
    InputError
        There is no such estimator, or its weights cannot be read.
    """
    method, _, settings = str(name).partition(":")
    if method == "fpfs":
        return _fpfs_estimator(str(name), settings)
    network, kernel_fwhm = _network_and_kernel(str(name))
    path = SHIPPED.get(network, Path(network))
    if path.suffix != ".safetensors":
        raise InputError(
            f"estimator {str(name)!r} is unknown; expected fpfs, {', '.join(SHIPPED)} or a .safetensors file"
        )
    card = load_card(path)
    if card["architecture"] != "d4cnn":
        raise InputError(f"{path}: weights of architecture {card['architecture']!r}; expected 'd4cnn'")
    # Read now what the workers will read later: damaged weights must not cost a cluster or an older result.
    location = network if network in SHIPPED else str(path.resolve())
    chosen = Estimator(str(name), location, card["sha256"], kernel_fwhm=kernel_fwhm)
    cached_model(build_d4cnn, chosen.weights, card["sha256"], "cpu")
    return chosen


def _network_and_kernel(name: str) -> tuple[str, float | None]:
    """Split ``NETWORK:FWHM``; a path may have colons of its own."""
    network, _, fwhm = name.rpartition(":")
    if not network or fwhm.endswith(".safetensors"):
        return name, None
    try:
        width = float(fwhm)
    except ValueError:
        width = np.nan
    if not 0 < width < np.inf:
        raise InputError(f"estimator {name!r}: expected NETWORK:FWHM, a kernel in arcsec such as d4cnn:0.935")
    return network, width


def _fpfs_estimator(name: str, settings: str) -> Estimator:
    if name == "fpfs":
        return Estimator(name)
    try:
        sigma, C = map(float, settings.split(","))
    except ValueError:
        sigma = C = np.nan
    if not (0 < sigma < np.inf and 0 < C < np.inf):
        raise InputError(f"estimator {name!r}: expected fpfs:SIGMA,C, two positive numbers such as fpfs:0.70,25")
    return Estimator(name, sigma=sigma, C=C)
