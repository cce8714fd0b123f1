"""``lensdask lss``: simulate."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lensdask.cli.options import AsJson, Running, Seed, with_groups
from lensdask.cli.root import report_store

__all__ = ["lss"]

lss = typer.Typer(no_args_is_help=True, help="Large-scale structure: simulated skies in redshift bins.")
"""The commands of the pillar of large-scale structure."""


@lss.callback()
def about() -> None:
    """Large-scale structure: simulated skies in redshift bins."""


@lss.command()
@with_groups
def simulate(
    tiles_zarr: Annotated[Path, typer.Argument(metavar="TILES", help="Store of tomographic maps to write.")],
    *,
    sky: Annotated[str, typer.Option(help="What makes the maps: lognormal.")] = "lognormal",
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
    n_of_z: Annotated[
        Path | None,
        typer.Option(help="Text file: in each row a redshift and n(z) of the four bins. Default: like DES."),
    ] = None,
    seed: Seed = 0,
    running: Running,
    as_json: AsJson = False,
) -> None:
    """Simulate noise-free maps of lensing, intrinsic alignment and matter in four redshift bins."""
    from lensdask.lss.simulation import simulate_run
    from lensdask.sky.tomography.redshifts import STAGE3_BINS, read_redshift_bins

    settings: dict[str, Any] = {"sky": sky, "cosmologies": cosmologies, "seeds": seeds, "tiles": tiles, "seed": seed}
    bins = STAGE3_BINS if n_of_z is None else read_redshift_bins(n_of_z)
    result = simulate_run(tiles_zarr, bins=bins, options=running.options, **settings)
    report_store(tiles_zarr, result, "simulations", as_json)
