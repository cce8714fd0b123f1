"""Options that several commands share, and how a command takes a group of them as one argument."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensdask.errors import InputError

if TYPE_CHECKING:
    from lensdask.compute import RunOptions
    from lensdask.maps.mock import Survey
    from lensdask.shear.simulation.observation import Observation
    from lensdask.sky.simulate import SkyConfig

__all__ = [
    "AsJson",
    "Catalogue",
    "Device",
    "Estimator",
    "Fields",
    "Galaxies",
    "MassMethod",
    "OnProcessors",
    "Overwrite",
    "Reading",
    "Recentre",
    "Running",
    "Seed",
    "Simulation",
    "SkyAndSurvey",
    "Workers",
    "with_groups",
]

AsJson = Annotated[bool, typer.Option("--json", help="Print only the result, as JSON, on stdout.")]
"""Output for programs."""

Catalogue = Annotated[Path | None, typer.Option(help="CatSim FITS file. Default: a parametric mock.")]
"""Galaxies to draw."""

Cluster = Annotated[str, typer.Option(help="local, threads, cuda, tcp://…, tls://…, or a scheduler file.")]
"""Where tasks are computed."""

Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
"""Where arrays are computed."""

Estimator = Annotated[
    str,
    typer.Option(
        help="d4cnn, d4cnn-wide, d4cnn-fpfs, d4cnn-paper, d4cnn-relu, cnn, fpfs, fpfs:SIGMA,C, the path of a network, "
        "or NETWORK:FWHM for another resmoothing kernel."
    ),
]
"""What measures."""

Recentre = Annotated[
    bool,
    typer.Option("--recentre", help="Measure galaxies about their centroids, not about the middle of their stamps."),
]
"""Where galaxies are measured."""

Fields = Annotated[int, typer.Option(help="Number of fields.")]
"""How many to simulate."""

Galaxies = Annotated[int, typer.Option(help="Number of galaxies; even, since they come in orthogonal pairs.")]
"""How many to simulate."""

MassMethod = Annotated[
    str,
    typer.Option(
        help="ks93[:SIGMA], ksplus[:SIGMA], wiener[:SOURCE], aperture[:THETA] (arcmin), cha, h21, miu2net (for "
        "pixels of 0.82 arcmin and 33 galaxies per arcmin²), cosmos (for the HST/COSMOS field), or a network's path."
    ),
]
"""What reconstructs the convergence."""

Overwrite = Annotated[bool, typer.Option(help="Replace existing output.")]
"""What to do with an output that exists."""

Seed = Annotated[int, typer.Option(help="Random seed.")]
"""Of galaxies, orientations, noise, resamplings."""

Workers = Annotated[
    int | None, typer.Option(help="Workers of a local cluster. Default: one per core; cuda: one per GPU.")
]
"""How many processes."""


@dataclasses.dataclass(frozen=True)
class Simulation:
    """Options of commands that simulate galaxies."""

    catalogue: Catalogue = None
    magnitude_limit: Annotated[float, typer.Option(help="Faint limit in i.")] = 25.3
    noise_sigma: Annotated[
        float | None, typer.Option(help="Noise per pixel at zero point 30; 0 for none. Default: LSST year 10.")
    ] = None
    noise: Annotated[
        str,
        typer.Option(help="independent, or exchanged within orthogonal pairs, which shrinks the error on m."),
    ] = "independent"
    noise_fwhm: Annotated[
        float, typer.Option(help="FWHM of the noise correlation kernel, arcsec; 0 for white noise.")
    ] = 0.0
    psf_e1: Annotated[float, typer.Option(help="PSF ellipticity e1.")] = 0.0
    psf_e2: Annotated[float, typer.Option(help="PSF ellipticity e2.")] = 0.0
    shear: Annotated[float, typer.Option(help="Amplitude of the applied shears.")] = 0.02
    renderer: Annotated[
        str, typer.Option(help="batched, or galsim (agrees to 1e-4 of the peak, seven times slower).")
    ] = "batched"

    @property
    def observation(self) -> "Observation":
        """PSF, pixels, noise, shear."""
        from lensdask.conventions import LSST_Y10_NOISE
        from lensdask.shear.simulation.observation import Observation

        # Observation itself refuses a noise or a renderer that is neither of the two.
        names = ("noise", "noise_fwhm", "psf_e1", "psf_e2", "shear", "renderer")
        settings: dict[str, Any] = {name: getattr(self, name) for name in names}
        return Observation(noise_sigma=LSST_Y10_NOISE if self.noise_sigma is None else self.noise_sigma, **settings)


@dataclasses.dataclass(frozen=True)
class SkyAndSurvey:
    """Options of commands that simulate fields of sky and what galaxies show of them."""

    generator: Annotated[
        str, typer.Option(help="lognormal (fast), or halo (haloes of known mass, redshift and position).")
    ] = "lognormal"
    source: Annotated[
        str, typer.Option(help="Source redshifts: zs1.0, zs1.5, zs2.5 (one source plane), lsst or cosmos.")
    ] = "zs1.0"
    size: Annotated[int, typer.Option(help="Pixels on each side of a field.")] = 512
    pixel_scale: Annotated[float, typer.Option(help="Pixel scale, arcmin; the shipped networks need 0.82.")] = (
        0.41015625
    )
    resolution: Annotated[
        float, typer.Option(help="Gaussian sigma that smooths the convergence, arcmin; 0 for none.")
    ] = 0.45
    density: Annotated[float, typer.Option(help="Galaxies per arcmin².")] = 33.0
    sigma_e: Annotated[float, typer.Option(help="Ellipticity dispersion per component.")] = 0.24
    measurement_error: Annotated[
        float, typer.Option(help="Shear measurement error per component of the faintest galaxies; 0 for none.")
    ] = 0.0
    mask_fraction: Annotated[float, typer.Option(help="Fraction of each field masked by circular star masks.")] = 0.0
    mask_radius: Annotated[
        float | None, typer.Option(help="Radius of the largest star mask, arcmin. Default: 2.7.")
    ] = None
    footprint: Annotated[
        Path | None, typer.Option(help="FITS or .npy mask of the field: 1 inside the survey, 0 outside.")
    ] = None

    @property
    def sky(self) -> "SkyConfig":
        """Which sky."""
        from lensdask.sky.simulate import SkyConfig

        # The simulation itself refuses a generator that is none.
        names = ("generator", "source", "size", "pixel_scale", "resolution")
        settings: dict[str, Any] = {name: getattr(self, name) for name in names}
        return SkyConfig(**settings)

    @property
    def survey(self) -> "Survey":
        """Galaxies, noise and masks."""
        from lensdask.maps.mock import Survey

        names = ("density", "sigma_e", "measurement_error", "mask_fraction")
        settings: dict[str, Any] = {name: getattr(self, name) for name in names}
        if self.mask_radius is not None:
            if self.mask_fraction == 0:
                raise InputError(f"--mask-radius: {self.mask_radius} of no masks; expected --mask-fraction above 0 too")
            settings["mask_radius"] = self.mask_radius
        return Survey(footprint=None if self.footprint is None else str(self.footprint), **settings)


@dataclasses.dataclass(frozen=True)
class OnProcessors:
    """Options of commands with resumable runs on a cluster, which leave GPUs alone."""

    workers: Workers = None
    cluster: Cluster = "local"
    insecure: Annotated[bool, typer.Option(help="Allow an unencrypted scheduler on another machine.")] = False
    resume: Annotated[bool, typer.Option(help="Continue an interrupted run.")] = False
    overwrite: Overwrite = False
    performance_report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write Dask's performance report to this file.")
    ] = None

    @property
    def options(self) -> "RunOptions":
        """The same for the functions that run."""
        from lensdask.compute import RunOptions

        if self.resume and self.overwrite:
            raise InputError("--resume and --overwrite: expected one of them")
        return RunOptions(
            cluster=self.cluster,
            workers=self.workers,
            insecure=self.insecure,
            device="cpu",
            if_exists="resume" if self.resume else "overwrite" if self.overwrite else "refuse",
            performance_report=self.performance_report,
        )


@dataclasses.dataclass(frozen=True)
class Running(OnProcessors):
    """Options of commands with resumable runs on a cluster."""

    device: Device = "auto"

    @property
    def options(self) -> "RunOptions":
        """The same for the functions that run."""
        return dataclasses.replace(super().options, device=self.device)


@dataclasses.dataclass(frozen=True)
class Reading(OnProcessors):
    """Options of a command that reads: checksums and decompression leave other threads alone."""

    cluster: Cluster = "threads"


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with the fields of its dataclass arguments for options, one by one.

    Parameters
    ----------
    command
        Function whose annotations are types, not text; a group is an argument that is annotated with a dataclass, all
        fields of which have defaults.
    """
    parameters = inspect.signature(command).parameters
    groups: dict[str, Any] = {n: p.annotation for n, p in parameters.items() if dataclasses.is_dataclass(p.annotation)}

    def expanded(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in dataclasses.fields(group)})
        command(**given)

    flat: list[inspect.Parameter] = []
    for name, parameter in parameters.items():
        # A dataclass has a signature too: that of its constructor.
        fields = inspect.signature(groups[name]).parameters.values() if name in groups else (parameter,)
        flat += [field.replace(kind=inspect.Parameter.KEYWORD_ONLY) for field in fields]
    functools.update_wrapper(expanded, command)
    expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in flat}
    expanded.__dict__["__signature__"] = inspect.Signature(flat)
    return expanded
