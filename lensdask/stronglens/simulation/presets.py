"""Which lenses, which substructure, which survey: the presets, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import inf
from pathlib import Path
from typing import Literal, TypeVar, get_args

from lensdask.data.files import read_toml
from lensdask.errors import InputError, check_choice, check_number
from lensdask.stronglens.simulation.masses import DistanceKind

__all__ = [
    "CLASSES",
    "PRESETS",
    "SIGNALS",
    "SURVEYS",
    "Preset",
    "Range",
    "Signal",
    "Survey",
    "find_preset",
    "find_signal",
    "find_survey",
]

T = TypeVar("T")

CLASSES = ("none", "cdm", "vortex")
"""What is in a lens beside the smooth mass, in the order of the labels: nothing, subhaloes, a vortex of axions."""

Range = tuple[float, float]
"""Least and largest of what is drawn uniformly; a number that is not drawn has both ends alike."""


@dataclass(frozen=True)
class Survey:
    """A camera and its exposures."""

    name: str
    """For people."""
    pixel_scale: float
    """Arcsec per pixel."""
    psf_fwhm: float
    """FWHM of the Gaussian PSF, arcsec; 0 for none."""
    zero_point: float
    """AB magnitude of one electron per second."""
    sky: float
    """Brightness of the sky, magnitudes per arcsec²."""
    exposure: float
    """Seconds of one exposure."""
    exposures: int
    """How many are added."""
    read_noise: float
    """Standard deviation of the noise of reading a pixel once, electrons."""

    def __post_init__(self) -> None:
        """Refuse what cannot be observed."""
        check_number("pixel_scale", self.pixel_scale, least=1e-3, meaning="the side of a pixel in arcsec")
        check_number("exposure", self.exposure, above=0)
        for name in ("psf_fwhm", "read_noise"):
            check_number(name, getattr(self, name), least=0)
        for name in ("zero_point", "sky"):
            check_number(name, getattr(self, name))
        check_number("exposures", self.exposures, least=1, whole=True)

    @property
    def seconds(self) -> float:
        """Whole exposure time."""
        return self.exposure * self.exposures

    def electrons(self, magnitude: float) -> float:
        """Return electrons per second of a magnitude."""
        return float(10 ** (-0.4 * (magnitude - self.zero_point)))


@dataclass(frozen=True)
class Signal:
    """Substructure of the classes."""

    slope: float = -1.9
    """Of the mass function of subhaloes, dn/dm ∝ m^slope."""
    least_mass: float = 1e6
    """Its lower end, solar masses."""
    most_mass: float = 1e10
    """Its upper end."""
    fraction: float = 0.005
    """Mean mass of the subhaloes over that of the lens, where they are; decides their Poisson number."""
    number: int | None = None
    """Number of the subhaloes of every lens, in place of the fraction."""
    profile: Literal["pseudo-jaffe", "point"] = "pseudo-jaffe"
    """Of the subhaloes."""
    inner_radius: float = 0.0
    """Subhaloes lie beyond, in projection, arcsec."""
    outer_radius: float = 2.0
    """Subhaloes lie within, arcsec."""
    spread: Literal["area", "radius"] = "area"
    """Whether they are uniform in area, or in radius."""
    vortex_mass: float = 3e10
    """Mass of the vortex, solar masses."""
    vortex: Literal["line", "points"] = "line"
    """A line of mass, or a hundred points on it."""
    compensated: bool = True
    """Whether the smooth lens lacks the mean mass of the substructure within its Einstein radius."""

    def __post_init__(self) -> None:
        """Refuse numbers that no substructure has."""
        check_number("slope", self.slope, least=-5, most=5, meaning="of dn/dm")
        check_number("least_mass", self.least_mass, above=0, meaning="solar masses")
        check_number("most_mass", self.most_mass, least=self.least_mass, most=1e13, meaning="solar masses")
        check_number("fraction", self.fraction, least=0, below=1)
        if self.number is not None:
            check_number("number", self.number, least=0, most=10_000, whole=True)
        check_number("inner_radius", self.inner_radius, least=0, meaning="arcsec")
        check_number("outer_radius", self.outer_radius, above=self.inner_radius, meaning="arcsec")
        check_number("vortex_mass", self.vortex_mass, least=0, most=1e13, meaning="solar masses")
        for name in ("profile", "spread", "vortex"):
            check_choice(name, getattr(self, name), get_args(Signal.__annotations__[name]))
        if not isinstance(self.compensated, bool):
            raise InputError(f"compensated: {self.compensated!r}; expected true or false")


@dataclass(frozen=True)
class Preset:
    """Lenses and sources, what they are drawn from, and how they are imaged."""

    name: str
    """For people."""
    signal: str
    """Name of the substructure when none is asked for."""
    distance: DistanceKind
    """Distances of Einstein radii."""
    deflection_scale: float
    """What all deflections are multiplied by."""
    theta_e: Range
    """Einstein radius of the smooth lens before that, arcsec."""
    ellipticity: Range
    """(1 - q) / (1 + q) of the smooth lens."""
    lens_angle: Range
    """From x to its major axis, degrees."""
    shear: Range
    """Amplitude of the external shear."""
    shear_angle: Range
    """From x to its direction, degrees."""
    source_offset: float
    """Largest distance of the source from the axis, arcsec: half the side of a square, or the radius of a disc."""
    source_area: Literal["square", "disc"]
    """Where sources are, uniformly."""
    source_magnitude: Range
    """AB, without lensing."""
    source_radius: Range
    """Half-light radius, arcsec."""
    source_index: Range
    """Sérsic index."""
    source_ellipticity: Range
    """(1 - q) / (1 + q) of the source."""
    source_angle: Range
    """From x to its major axis, degrees."""
    noise: bool
    """Whether images have the noise of the survey when nothing else is asked for."""
    noiseless_scale: float
    """What images without noise are multiplied by."""
    z_lens: float = 0.5
    """Redshift of the lens."""
    z_source: float = 1.0
    """Redshift of the source."""

    def __post_init__(self) -> None:
        """Refuse numbers that no lens has."""
        check_choice("distance", self.distance, get_args(DistanceKind))
        check_choice("source_area", self.source_area, ("square", "disc"))
        for name in ("deflection_scale", "noiseless_scale", "z_lens"):
            check_number(name, getattr(self, name), above=0)
        check_number("source_offset", self.source_offset, least=0, meaning="arcsec")
        check_number("z_source", self.z_source, above=self.z_lens)
        for name, (least, most) in _LIMITS.items():
            low, high = getattr(self, name)
            check_number(f"{name}: lower end", low, least=least, most=most)
            check_number(f"{name}: upper end", high, least=low, most=most)


_LIMITS = {
    "theta_e": (0.01, 100.0),
    "ellipticity": (0.0, 0.8),
    "shear": (0.0, 0.5),
    "source_magnitude": (-inf, inf),
    "source_radius": (0.01, 10.0),
    "source_index": (0.5, 6.0),
    "source_ellipticity": (0.0, 0.8),
    "lens_angle": (-360.0, 360.0),
    "shear_angle": (-360.0, 360.0),
    "source_angle": (-360.0, 360.0),
}

SURVEYS: Mapping[str, Survey] = {
    # As in lenstronomy 1.9.2, which the published images were made with; later versions have other numbers.
    "euclid": Survey("euclid", 0.101, 0.16, 24.0, 22.35, 565.0, 4, 4.2),
    "hst": Survey("hst", 0.08, 0.08, 25.96, 22.3, 5400.0, 1, 4.0),
}
"""Euclid VIS (Model A, or Model_II, of the published images) and HST WFC3 F160W (Model B, or Model_III)."""

SIGNALS: Mapping[str, Signal] = {
    "cdm": Signal(),
    "as-coded": Signal(
        slope=-0.9,
        number=25,
        profile="point",
        inner_radius=0.25,
        spread="radius",
        vortex="points",
        compensated=False,
    ),
}
"""Subhaloes of cold dark matter, and what DeepLenseSim has in their place: 3.8e10 solar masses in 25 points."""

PRESETS: Mapping[str, Preset] = {
    "deeplensesim": Preset(
        name="deeplensesim",
        signal="as-coded",
        distance="luminosity",
        # Deflections are those of a source at redshift 2.5, scaled to redshift 1 as for several lens planes.
        deflection_scale=0.634,
        # 1e12 solar masses.
        theta_e=(1.2815, 1.2815),
        ellipticity=(0.1, 0.1),
        lens_angle=(0.0, 0.0),
        shear=(0.05, 0.05),
        shear_angle=(0.0, 0.0),
        source_offset=0.35,
        source_area="square",
        source_magnitude=(20.0, 20.0),
        source_radius=(0.25, 0.25),
        source_index=(1.0, 1.0),
        # e1 = -0.1, e2 = 0.1.
        source_ellipticity=(0.02**0.5, 0.02**0.5),
        source_angle=(67.5, 67.5),
        noise=False,
        # The image is added to itself where its noise was meant to be.
        noiseless_scale=2.0,
    ),
    "physical": Preset(
        name="physical",
        signal="cdm",
        distance="angular-diameter",
        deflection_scale=1.0,
        theta_e=(1.1, 1.5),
        ellipticity=(0.0, 0.2),
        lens_angle=(0.0, 180.0),
        shear=(0.0, 0.08),
        shear_angle=(0.0, 180.0),
        source_offset=0.35,
        source_area="disc",
        source_magnitude=(20.0, 21.0),
        source_radius=(0.2, 0.4),
        source_index=(0.7, 1.5),
        source_ellipticity=(0.0, 0.3),
        source_angle=(0.0, 180.0),
        noise=True,
        noiseless_scale=1.0,
    ),
}
"""What the published images are, and lenses as a survey would see them."""


def find_preset(preset: str | Preset) -> Preset:
    """Return a preset by its name; others as they are.

    Raises
    ------
    InputError
        There is none of that name.
    """
    return preset if isinstance(preset, Preset) else _named("preset", preset, PRESETS)


def find_survey(survey: str | Survey) -> Survey:
    """Return a survey by its name; others as they are.

    Raises
    ------
    InputError
        There is none of that name.
    """
    return survey if isinstance(survey, Survey) else _named("survey", survey, SURVEYS)


def find_signal(signal: str | Path | Signal) -> Signal:
    """Return substructure by its name, or of a TOML file with fields of `Signal`; others as they are.

    Raises
    ------
    InputError
        There is none of that name, or the file has something else.
    """
    if isinstance(signal, Signal):
        return signal
    if Path(signal).suffix != ".toml":
        return _named("signal", str(signal), SIGNALS, " or a TOML file")
    table = read_toml(signal, "a TOML file of numbers")
    known = [field.name for field in fields(Signal)]
    for name in table:
        if name not in known:
            raise InputError(f"{signal}: {name!r} is unknown; expected {', '.join(known)}")
    try:
        return Signal(**table)
    except InputError as error:
        raise InputError(f"{signal}: {error}") from error


def _named(what: str, name: str, known: Mapping[str, T], more: str = "") -> T:
    if name not in known:
        raise InputError(f"{what}: {name!r}; expected {', '.join(known)}{more}")
    return known[name]
