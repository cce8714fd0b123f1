"""``lensdask lss``: simulate, import, train, predict, infer."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lensdask.cli.lss_infer import infer
from lensdask.cli.options import AsJson, OnProcessors, Running, Seed, with_groups
from lensdask.cli.root import report_store
from lensdask.cli.training import Model, Training, train_and_report

if TYPE_CHECKING:
    from lensdask.sky.tomography.redshifts import RedshiftBins

__all__ = ["lss"]

lss = typer.Typer(
    no_args_is_help=True,
    help="Cosmology from maps of lensing and galaxy clustering: simulate or import, train, predict, infer.",
)
"""The commands of the pillar of large-scale structure."""

lss.command("infer")(infer)

TileStore = Annotated[Path, typer.Argument(metavar="TILES", help="Store of simulated maps, from lss simulate.")]
"""What mosaics are made of."""

NOfZ = Annotated[
    Path | None,
    typer.Option(help="Text file: in each row a redshift and n(z) of the four bins. Default: like DES."),
]
"""Redshifts of the galaxies."""


@lss.command()
@with_groups
def simulate(
    tiles_zarr: Annotated[Path, typer.Argument(metavar="TILES", help="Store of tomographic maps to write.")],
    *,
    sky: Annotated[
        str,
        typer.Option(
            help="What makes the maps: lognormal (random fields, quick) or nbody (simulated particles: for a "
            "simulation and all its tiles about a minute of a processor at the default size, 128 particles on a "
            "side)."
        ),
    ] = "lognormal",
    cosmologies: Annotated[
        str,
        typer.Option(
            metavar="N|FILE",
            help="The first N of the 57 cosmologies; calibration or calibration:N for those that serve tests alone; or "
            "a text file with Ω_m and σ₈ in each row.",
        ),
    ] = "57",
    seeds: Annotated[
        int,
        typer.Option(
            help="Simulations of each cosmology. Seeds 0, 4, 5 are for training, 1 for validation, 2 for the "
            "likelihood, 3 for tests; 6 as 0, and so on."
        ),
    ] = 6,
    tiles: Annotated[int, typer.Option(help="Tiles of each simulation, 5 degrees on a side.")] = 100,
    n_of_z: NOfZ = None,
    particles: Annotated[
        int | None, typer.Option(help="Of nbody: particles on a side of the box, even. Default: 128; 256 for a GPU.")
    ] = None,
    side: Annotated[
        float | None, typer.Option(metavar="MPC", help="Of nbody: side of the box. Default: 380 Mpc; 500 with 256.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Of nbody: steps in time. Default: 20.")] = None,
    seed: Seed = 0,
    running: Running,
    as_json: AsJson = False,
) -> None:
    """Simulate noise-free maps of lensing, intrinsic alignment and matter in four redshift bins."""
    from lensdask.lss.simulation import simulate_run
    from lensdask.sky.nbody.box import NbodyBox

    settings: dict[str, Any] = {"sky": sky, "cosmologies": cosmologies, "seeds": seeds, "tiles": tiles, "seed": seed}
    numbers: dict[str, Any] = {"particles": particles, "side": side, "steps": steps}
    given = {name: value for name, value in numbers.items() if value is not None}
    box = NbodyBox(**given) if given else None
    result = simulate_run(tiles_zarr, bins=_bins(n_of_z), box=box, options=running.options, **settings)
    report_store(tiles_zarr, result, "simulations", as_json)


def _bins(path: Path | None) -> "RedshiftBins":
    from lensdask.sky.tomography.redshifts import STAGE3_BINS, read_redshift_bins

    return STAGE3_BINS if path is None else read_redshift_bins(path)


@lss.command("import")
@with_groups
def import_skies(
    skies: Annotated[
        Path,
        typer.Argument(
            metavar="SKIES.toml",
            help="File that lists the simulations: format (cosmogrid, gower, table or maps), by cosmology omega_m, "
            "sigma8 and simulations, their paths. More in lensdask.sky.fullsky.description.",
        ),
    ],
    tiles_zarr: Annotated[Path, typer.Argument(metavar="TILES", help="Store of tomographic maps to write.")],
    *,
    tiles: Annotated[int, typer.Option(help="Tiles of each simulation, 5 degrees on a side; 1554 at the most.")] = 100,
    n_of_z: NOfZ = None,
    running: OnProcessors,
    as_json: AsJson = False,
) -> None:
    """Cut full skies that you have into such maps: shells of CosmoGrid or Gower Street, or projected maps."""
    from lensdask.lss.skies import read_skies_run

    result = read_skies_run(
        tiles_zarr,
        skies,
        tiles=tiles,
        bins=_bins(n_of_z),
        warn=lambda line: print(f"lensdask: {line}", file=sys.stderr),
        options=running.options,
    )
    report_store(tiles_zarr, result, "simulations", as_json)


@lss.command()
@with_groups
def train(
    compressor: Model,
    *,
    tiles: Annotated[Path, typer.Option(metavar="TILES", help="Store of simulated maps, from lss simulate.")],
    probe: Annotated[
        str | None, typer.Option(help="Maps: lensing, clustering or combined. Default: that of the recipe, combined.")
    ] = None,
    summary: Annotated[
        str | None,
        typer.Option(
            help="Network: hybrid (spectra and convolutions), power (spectra) or cnn (convolutions). Default: that of "
            "the recipe, hybrid."
        ),
    ] = None,
    cross: Annotated[
        str | None,
        typer.Option(
            help="Cross spectra: signed, or modulus, which drops their sign, as the code released with DeepLSS does. "
            "Default: that of the recipe, signed."
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE.toml", help="Recipe: one that comes with lensdask, or a TOML file."),
    ] = None,
    mosaics: Annotated[int | None, typer.Option(help="Mosaics per epoch.")] = None,
    training: Training,
    as_json: AsJson = False,
) -> None:
    """Train a network that compresses a mosaic of maps into one number for each parameter."""
    from functools import partial

    from lensdask.lss import read_recipe
    from lensdask.lss import train as train_compressor
    from lensdask.lss.networks.recipe import recipe_for

    train_and_report(
        partial(train_compressor, tiles=tiles),
        compressor,
        recipe_for(read_recipe(config or f"lss-{summary or 'hybrid'}"), summary=summary, probe=probe, cross=cross),
        training,
        begins_with="making mosaics",
        as_json=as_json,
        mosaics=mosaics,
    )


@lss.command()
@with_groups
def predict(
    tiles: TileStore,
    compressor: Annotated[Path, typer.Argument(help="File of the compressor's weights, from lss train.")],
    summaries: Annotated[Path, typer.Argument(metavar="SUMMARIES", help="Store of summaries to write.")],
    *,
    samples: Annotated[int, typer.Option(help="Number of mosaics.")],
    split: Annotated[
        str,
        typer.Option(
            help="Simulations that mosaics are made of: likelihood; test, for mock surveys; validation or training, "
            "which the compressor knows, so that its summaries of them are too good."
        ),
    ] = "likelihood",
    seed: Seed = 0,
    running: Running,
    as_json: AsJson = False,
) -> None:
    """Make mosaics of simulated maps with parameters drawn from the prior, compress them, keep their summaries."""
    from lensdask.lss.prediction import predict_run

    result = predict_run(
        tiles,
        compressor,
        summaries,
        samples=samples,
        split=split,
        seed=seed,
        options=running.options,
        warn=lambda line: print(f"lensdask: {line}", file=sys.stderr),
    )
    report_store(summaries, result, "samples", as_json)
