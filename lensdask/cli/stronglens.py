"""``lensdask stronglens``: simulate, fit."""

from pathlib import Path
from typing import Annotated

import typer

from lensdask.cli.options import AsJson, Running, Seed, with_groups
from lensdask.cli.root import report_store

__all__ = ["stronglens"]

LensStore = Annotated[
    Path, typer.Argument(metavar="LENSES", help="Store of images of lenses, from stronglens simulate, for example.")
]
"""What is fitted."""

stronglens = typer.Typer(no_args_is_help=True, help="Dark matter from images of strong lenses: simulate, fit.")
"""The commands of the pillar of strong lenses."""


@stronglens.command()
@with_groups
def simulate(
    lenses: Annotated[Path, typer.Argument(metavar="LENSES", help="Store of images to write.")],
    *,
    images: Annotated[int, typer.Option(help="Number of images, all classes together; lenses take turns in them.")],
    preset: Annotated[
        str,
        typer.Option(
            help="Lenses and sources: physical, as a survey would see them; or deeplensesim, what the published images "
            "of DeepLenseSim are, without noise."
        ),
    ] = "physical",
    survey: Annotated[str, typer.Option(help="Pixels, PSF and noise: euclid or hst.")] = "euclid",
    signal: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.toml",
            help="Substructure: cdm; as-coded, that of DeepLenseSim; or a file with your numbers for slope, "
            "least_mass, most_mass, fraction, vortex_mass and so on. Default: that of the preset.",
        ),
    ] = None,
    classes: Annotated[
        str, typer.Option(help="Some of none, cdm and vortex, separated by commas.")
    ] = "none,cdm,vortex",
    size: Annotated[int, typer.Option(help="Pixels on a side, even.")] = 64,
    noise: Annotated[
        bool | None,
        typer.Option("--noise/--no-noise", help="With or without noise. Default: with it for physical alone."),
    ] = None,
    angle: Annotated[
        float, typer.Option(help="Turn all lenses by so many degrees; PSF and noise are not turned.")
    ] = 0.0,
    seed: Seed = 0,
    running: Running,
    as_json: AsJson = False,
) -> None:
    """Simulate images of lensed galaxies: without substructure, with subhaloes, with a vortex."""
    from lensdask.stronglens.lenses import simulate_run

    result = simulate_run(
        lenses,
        images=images,
        preset=preset,
        survey=survey,
        signal=signal,
        classes=tuple(name.strip() for name in classes.split(",")),
        size=size,
        noise=noise,
        angle=angle,
        seed=seed,
        options=running.options,
    )
    report_store(lenses, result, "lenses", as_json)


@stronglens.command()
@with_groups
def fit(
    lenses: LensStore,
    fits: Annotated[Path, typer.Argument(metavar="FITS", help="Store of fits to write.")],
    *,
    survey: Annotated[
        str | None,
        typer.Option(help="Whose PSF and noise the images have: euclid or hst. Default: as the lenses say."),
    ] = None,
    running: Running,
    as_json: AsJson = False,
) -> None:
    """Fit a smooth lens and its source to each image; keep the parameters and the residual, in units of the noise."""
    from lensdask.stronglens.fitting.run import fit_run

    result = fit_run(lenses, fits, survey=survey, options=running.options)
    report_store(fits, result, "lenses", as_json)
