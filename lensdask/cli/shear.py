"""``lensdask shear``: simulate, train, measure, test the bias."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lensdask.cli.options import (
    AsJson,
    Catalogue,
    Estimator,
    Galaxies,
    OnProcessors,
    Recentre,
    Running,
    Seed,
    Simulation,
    with_groups,
)
from lensdask.cli.root import finish, report_store, unmeasured
from lensdask.cli.training import Config, Model, Training, train_and_report
from lensdask.errors import InputError

if TYPE_CHECKING:
    from lensdask.shear.calibration.selection import Selection

__all__ = ["shear"]

shear = typer.Typer(no_args_is_help=True, help="Shear of galaxies: simulate, train, measure, test the bias.")
"""The commands of the shear pillar."""


def _selection(magnitude: float | None, width: float) -> "Selection | None":
    from lensdask.shear.calibration.selection import magnitude_cut

    if magnitude is None and width:
        raise InputError(f"--cut-width {width}: expected a --magnitude-cut as well")
    return None if magnitude is None else magnitude_cut(magnitude, width)


@shear.command()
@with_groups
def simulate(
    stamps: Annotated[Path, typer.Argument(help="Store of stamps to write.")],
    *,
    galaxies: Galaxies,
    simulation: Simulation,
    seed: Seed = 0,
    running: OnProcessors,
    as_json: AsJson = False,
) -> None:
    """Simulate galaxies under four shears, (±g, 0) and (0, ±g)."""
    from lensdask.shear.runs import simulate_run

    result = simulate_run(
        stamps,
        galaxies=galaxies,
        observation=simulation.observation,
        catalogue=simulation.catalogue,
        magnitude_limit=simulation.magnitude_limit,
        seed=seed,
        options=running.options,
    )
    report_store(stamps, result, "galaxies", as_json)


@shear.command()
@with_groups
def measure(
    stamps: Annotated[Path, typer.Argument(help="Store of stamps.")],
    shapes: Annotated[Path, typer.Argument(help="Store of shapes to write.")],
    *,
    estimator: Estimator = "d4cnn",
    recentre: Recentre = False,
    running: Running,
    as_json: AsJson = False,
) -> None:
    """Measure ellipticities, fluxes and their shear responses."""
    from lensdask.shear.runs import measure_run

    done = measure_run(stamps, shapes, estimator=estimator, recentre=recentre, options=running.options)
    report_store(shapes, done, "galaxies", as_json)


@shear.command()
@with_groups
def catalogue(
    coadd: Annotated[
        Path, typer.Argument(help="FITS image with a WCS; pixels without VARIANCE, if it has one, are bad.")
    ],
    out: Annotated[Path, typer.Argument(help="Table to write: .fits, .parquet or .ecsv.")],
    *,
    psf: Annotated[Path, typer.Option(help="FITS image of the PSF on the pixels of the coadd, of sum 1.")],
    objects: Annotated[
        Path | None,
        typer.Option(
            help="Table of objects with columns ra and dec. Default: those that are detected here, with weights that "
            "answer to shear; a list of others biases the mean shear, as what is on it depends on the shear."
        ),
    ] = None,
    snr: Annotated[float, typer.Option(help="Least S/N of what is detected, over noise and renoise.")] = 10.0,
    estimator: Estimator = "d4cnn-wide",
    zero_point: Annotated[
        float | None, typer.Option(help="AB magnitude of one unit of flux. Default: that of the header.")
    ] = None,
    size: Annotated[int, typer.Option(help="Pixels on a side of a stamp.")] = 64,
    optimal_weights: Annotated[
        bool, typer.Option("--optimal-weights", help="Weigh galaxies for the least error of their mean shear.")
    ] = False,
    running: Running,
    as_json: AsJson = False,
) -> None:
    """Detect the objects of a coadd and measure their shapes, as a calibrated shear catalogue."""
    from lensdask.cli.terminal import counted
    from lensdask.shear.coadds.catalogue import catalogue_of_coadd

    table = catalogue_of_coadd(
        coadd,
        out,
        psf=psf,
        objects=objects,
        snr=snr,
        estimator=estimator,
        zero_point=zero_point,
        size=size,
        weights="optimal" if optimal_weights else None,
        options=running.options,
    )
    if as_json:
        print(json.dumps({"catalogue": str(out), "galaxies": len(table)} | table.meta, indent=2))
    else:
        mean = ", ".join(f"g{i} = {table.meta[f'MEANG{i}']:+.5f} ± {table.meta[f'ERRG{i}']:.5f}" for i in (1, 2))
        print(f"{out}: {counted(len(table), 'galaxies')}, mean shear {mean}")


@shear.command()
@with_groups
def null(
    catalogue: Annotated[Path, typer.Argument(help="Table that shear catalogue has written.")],
    out_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Directory of the results.")],
    *,
    column: Annotated[
        list[str] | None, typer.Option(help="Column in bins of which the mean shear is measured; again for more.")
    ] = None,
    stars: Annotated[
        Path | None, typer.Option(help="Table of stars, measured as the galaxies were, for their response.")
    ] = None,
    bins: Annotated[int, typer.Option(help="Bins of a column.")] = 10,
    patches: Annotated[int, typer.Option(help="Patches of the sky, for the errors of correlations.")] = 20,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier results.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure what should be zero in a catalogue: leakage of the PSF, slopes with columns, B modes."""
    from lensdask.compute.results import number
    from lensdask.plots.nulls import plot_nulls
    from lensdask.shear.nulls.page import measure_nulls, read_catalogue_table

    found = measure_nulls(
        read_catalogue_table(catalogue),
        out_dir,
        columns=column or [],
        stars=None if stars is None else read_catalogue_table(stars),
        bins=bins,
        patches=patches,
        overwrite=overwrite,
    )
    plot_nulls(out_dir / "null.png", found.binned, found.modes)
    if as_json:
        print(json.dumps(found.result, indent=2))
        return
    for one in found.result["rows"]:
        place = f" at {one['x']:.3g} arcmin" if "x" in one else ""
        print(f"{one['quantity']}{place}: {number(one['measured'], one['error'])}")
    print(f"picture: {out_dir / 'null.png'}")


@shear.command()
@with_groups
def bias(
    run_dir: Annotated[Path, typer.Argument(help="Directory of the results.")],
    *,
    galaxies: Galaxies,
    estimator: Estimator = "d4cnn",
    recentre: Recentre = False,
    simulation: Simulation,
    magnitude_cut: Annotated[
        float | None,
        typer.Option(help="Keep galaxies brighter than this FPFS magnitude; m and c are corrected for the selection."),
    ] = None,
    cut_width: Annotated[float, typer.Option(help="Half-width of a smooth magnitude cut; 0 for a hard cut.")] = 0.0,
    bootstrap: Annotated[int, typer.Option(help="Bootstrap resamplings; the paper uses 20.")] = 1000,
    galaxies_per_task: Annotated[
        int | None,
        typer.Option(
            help="Galaxies per task, rounded up to whole blocks of the bootstrap, 1/400 of the run or 2048 galaxies "
            "each. More make fewer files and less for the scheduler to do; fewer lose less to a fault, and share the "
            "work better. Default: set by the size of the run. Never changes the result."
        ),
    ] = None,
    seed: Seed = 0,
    running: Running,
    as_json: AsJson = False,
) -> None:
    """Measure m, c and the shape noise on simulated galaxies."""
    from lensdask.cli.terminal import print_results
    from lensdask.plots.shear import plot_bias
    from lensdask.shear.runs import run_bias

    outcome = run_bias(
        run_dir,
        galaxies=galaxies,
        estimator=estimator,
        recentre=recentre,
        observation=simulation.observation,
        catalogue=simulation.catalogue,
        magnitude_limit=simulation.magnitude_limit,
        selection=_selection(magnitude_cut, cut_width),
        replicas=bootstrap,
        galaxies_per_task=galaxies_per_task,
        seed=seed,
        options=running.options,
    )
    result = outcome.result
    picture = run_dir / "bias.png"
    plot_bias([result], picture)
    if as_json:
        print(json.dumps(result, indent=2))
    else:
        print_results([result])
        print(f"picture: {picture}")
    finish(len(outcome.run.quarantined), unmeasured(result["rows"]))


@shear.command()
@with_groups
def train(
    model: Model,
    *,
    config: Config = "d4cnn-fpfs",
    galaxies: Annotated[int | None, typer.Option(help="Training stamps.")] = None,
    catalogue: Catalogue = None,
    training: Training,
    as_json: AsJson = False,
) -> None:
    """Train a D4CNN on simulated galaxies."""
    from functools import partial

    from lensdask.shear import read_recipe
    from lensdask.shear import train as train_network

    train_and_report(
        partial(train_network, catalogue=catalogue),
        model,
        read_recipe(config),
        training,
        begins_with="simulating galaxies",
        as_json=as_json,
        galaxies=galaxies,
    )
