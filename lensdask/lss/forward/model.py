"""The choices of the forward model, and the priors that its parameters are drawn from.

The paper and the code that was released with it differ in places; here each difference is a setting by name. Smoothing
is no strict scale cut: it acts on signal and noise alike, so that a network may undo it. ``ell_max`` is one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from lensdask.errors import InputError, check_choice, check_number
from lensdask.lss.parameters import LINEAR, NON_LINEAR, PARAMETERS, PROBES, Parameter

__all__ = ["COSMOLOGY", "PIXEL_SCALE", "PRIORS", "RELEASED", "RELEASED_NON_LINEAR", "SMOOTHING", "ForwardModel"]

COSMOLOGY = ("omega_m", "s8")
"""Parameters that the tiles of a sample decide; they come first."""

PIXEL_SCALE = 4.6875
"""Pixel of a tile of 5° and 64 pixels, arcmin."""

SMOOTHING: Mapping[float, tuple[float, ...]] = MappingProxyType({4.0: (4.8, 3.5, 2.8, 2.5), 8.0: (9.8, 7.4, 6.0, 5.6)})
"""Standard deviation of the smoothing in each bin, arcmin, by its nominal FWHM in Mpc / h, as §II.B prints it.

They do not follow from the FWHM at the mean redshift, which ``smoothing="comoving"`` takes.
"""

PRIORS: Mapping[str, Mapping[str, Parameter]] = MappingProxyType(
    {
        "table1": PARAMETERS,
        "released": PARAMETERS
        | {
            "eta_ia": replace(PARAMETERS["eta_ia"], low=-5.0, high=7.0),
            "eta_b": replace(PARAMETERS["eta_b"], low=-2.0, high=2.0),
            "b_g2": replace(PARAMETERS["b_g2"], fiducial=-1.0),
        },
    }
)
"""Parameters with priors and fiducial values: those of Table I, and those of the released configuration."""

_CONVERGENCE = 0.005
"""Of appendix E: about the dispersion of the convergence itself."""

_CHOICES = {
    "probe": tuple(PROBES),
    "bias": ("linear", "printed", "released"),
    "priors": tuple(PRIORS),
    "stochasticity": ("printed", "exact"),
    "counts": ("poisson", "anscombe", "mean"),
    "shape_noise": ("printed", "released", "none"),
    "smoothing": ("printed", "comoving"),
}

_RANGES = {
    "sigma_e": (1e-6, 10.0),
    "density": (1e-6, 1e3),
    "pixel_scale": (1e-3, 1e3),
    "lensing_scale": (1e-3, 1e3),
    "clustering_scale": (1e-3, 1e3),
}


@dataclass(frozen=True)
class ForwardModel:
    """How galaxies trace matter, and what of it is seen.

    Parameters
    ----------
    probe
        "lensing", "clustering" or "combined".
    bias
        "linear": 1 + b δ, eq. 10. "printed": 1 + b δ + b₂ δ², eq. 13. "released": b δ + b₂ sign(δ) δ² / 2 without its
        mean, and stochasticity after this expansion.
    priors
        "table1" or "released", see `PRIORS`.
    stochasticity
        "printed": phases are turned by up to π (1 - r)^(2/3), eq. 12, which makes the correlation r to 12 per cent.
        "exact": by what makes it r.
    counts
        "poisson"; "anscombe", the normal approximation of appendix F; "mean", no noise of counts, for pictures.
    shape_noise
        "printed": σ_e / √N, and 0 without galaxies. "released": σ_e / √(N + 1). "none", for pictures.
    sigma_e
        Dispersion of each component of the ellipticity of galaxies.
    density
        Galaxies per arcmin² in each bin.
    pixel_scale
        Arcmin.
    side
        Tiles along each side of a mosaic.
    smoothing
        "printed": the standard deviations of `SMOOTHING`, of which the scales choose the row. "comoving": the scales
        are the FWHM in Mpc / h at the mean redshift of a bin, that of the pixel counted in.
    lensing_scale, clustering_scale
        Mpc / h.
    ell_max
        Multipole above which all waves of a tile are removed; None for none.

    Raises
    ------
    InputError
        A setting is none of these.
    """

    probe: str = "combined"
    bias: str = "linear"
    priors: str = "table1"
    stochasticity: str = "printed"
    counts: str = "poisson"
    shape_noise: str = "printed"
    sigma_e: float = 0.4
    density: float = 2.5
    pixel_scale: float = PIXEL_SCALE
    side: int = 6
    smoothing: str = "printed"
    lensing_scale: float = 4.0
    clustering_scale: float = 8.0
    ell_max: float | None = None

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            check_choice(name, getattr(self, name), choices)
        for name, (lowest, highest) in _RANGES.items():
            check_number(name, getattr(self, name), least=lowest, most=highest)
        check_number("side", self.side, least=1, most=100, whole=True)
        if self.ell_max is not None:
            check_number("ell_max", self.ell_max, above=0)
        for name in ("lensing_scale", "clustering_scale"):
            if self.smoothing == "printed" and getattr(self, name) not in SMOOTHING:
                raise InputError(f'{name}: {getattr(self, name)}; expected 4 or 8, or smoothing "comoving"')

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters of a sample, in order."""
        return LINEAR if self.bias == "linear" else NON_LINEAR

    @property
    def prior(self) -> tuple[Parameter, ...]:
        """The parameters of a sample with their priors, in order."""
        return tuple(PRIORS[self.priors][name] for name in self.parameters)

    @property
    def fiducial(self) -> dict[str, float]:
        """Fiducial values of the parameters that do not belong to the cosmology, by name."""
        return {each.name: each.fiducial for each in self.prior if each.name not in COSMOLOGY}

    @property
    def tiles(self) -> int:
        """Tiles of a mosaic."""
        return self.side**2

    @property
    def scales(self) -> str:
        """Which scales are left, in words for people: no result is complete without."""
        limit = "no limit in ell" if self.ell_max is None else f"ell <= {self.ell_max:g}"
        return f"smoothed at {self.lensing_scale:g} | {self.clustering_scale:g} Mpc/h ({self.smoothing}), {limit}"

    @property
    def convergence_scale(self) -> float:
        """What convergence is multiplied by for the networks, appendix E."""
        return float((_CONVERGENCE**2 + self.sigma_e**2 / self.mean_count) ** -0.5)

    @property
    def mean_count(self) -> float:
        """Mean number of galaxies of a pixel in each bin."""
        return self.density * self.pixel_scale**2


RELEASED = ForwardModel(priors="released", counts="anscombe", shape_noise="released")
"""The released code in its main configuration."""

RELEASED_NON_LINEAR = replace(RELEASED, bias="released", clustering_scale=4.0)
"""The released code in its configuration of small scales and non-linear bias."""
