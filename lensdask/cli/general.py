"""Commands of no pillar: the demonstration, figures of papers, how far a run is, whether a store is whole."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from lensdask.cli.options import AsJson, Galaxies, Reading, Running, Seed, Workers, with_groups
from lensdask.cli.root import app, finish, unmeasured

__all__ = ["demo", "reproduce", "status", "verify"]


@app.command()
def demo(
    directory: Annotated[Path, typer.Argument(help="Directory of the results.")] = Path("demo"),
    galaxies: Galaxies = 6000,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Test both estimators on LSST-like galaxies, with and without noise; about a minute on two cores."""
    from lensdask.cli.demo import run_demo
    from lensdask.cli.terminal import print_results
    from lensdask.plots.shear import plot_bias

    report = run_demo(directory, galaxies=galaxies, workers=workers)
    picture = directory / "demo.png"
    plot_bias(report["results"], picture)
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        print_results(report["results"])
        for name, cost in report["ms_per_galaxy"].items():
            print(f"{name}: {cost:.3f} ms per galaxy (one 64 x 64 stamp) for shape, flux and responses on one core")
        print(f"picture: {picture}")
    finish(report["quarantined"], [name for one in report["results"] for name in unmeasured(one["rows"])])


def _list_experiments(wanted: bool) -> None:
    if wanted:
        from lensdask.cli.terminal import print_experiments
        from lensdask.reproduce import EXPERIMENTS

        print_experiments((e.name, e.what, e.source) for e in EXPERIMENTS.values())
        raise typer.Exit


@app.command()
@with_groups
def reproduce(
    experiment: Annotated[str, typer.Argument(metavar="ID", help="Experiment, as --list prints it.")],
    directory: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Directory of the results.")],
    *,
    size: Annotated[str, typer.Option(help="tiny (seconds), small (minutes) or paper.")] = "small",
    show_list: Annotated[  # noqa: ARG001  its callback does the work
        bool, typer.Option("--list", callback=_list_experiments, is_eager=True, help="Print the experiments.")
    ] = False,
    seed: Seed = 0,
    study: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Directory of simulations, networks and posteriors that experiments of one paper share, so that each "
            "is made once. Default: in OUT_DIR.",
        ),
    ] = None,
    running: Running,
    as_json: AsJson = False,
) -> None:
    """Reproduce a figure or a table of a paper."""
    from lensdask.cli.terminal import print_reproduction
    from lensdask.reproduce import run_experiment

    result = run_experiment(experiment, directory, size=size, seed=seed, study=study, options=running.options)
    if as_json:
        print(json.dumps(result, indent=2))
    else:
        print_reproduction(result)
        print(f"picture: {directory / experiment}.png")
    report = running.performance_report
    if report is not None and not report.exists():
        why = f"{experiment} computes in this process, on no cluster, unless a line above says otherwise"
        print(f"no performance report: {why}", file=sys.stderr)
    finish(result["run"]["quarantined"], unmeasured(result["rows"]))


@app.command()
def status(
    run: Annotated[Path, typer.Argument(help="Directory of results, store that a run wrote, or journal.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print only one line of JSON per run on stdout.")] = False,
) -> None:
    """Show how far a run is: chunks done, left and quarantined, rate, time left. Does not disturb the run."""
    from lensdask.cli.terminal import print_status
    from lensdask.compute import find_journals
    from lensdask.compute import status as status_of

    # A reproduced figure may consist of several runs.
    found = [status_of(journal) for journal in find_journals(run)]
    if as_json:
        for one in found:
            print(json.dumps(one.as_json()))
    else:
        print_status(found)


@app.command()
@with_groups
def verify(
    stores: Annotated[list[Path], typer.Argument(metavar="STORE…", help="Stores of lensdask.")],
    *,
    running: Reading,
    as_json: Annotated[bool, typer.Option("--json", help="Print only one line of JSON per store on stdout.")] = False,
) -> None:
    """Read every chunk of stores and name what is damaged or missing; --resume of its run then computes it again.

    Exits with 1 if anything is, or if the run is not finished. --resume goes on where an earlier call was interrupted,
    --overwrite begins again.
    """
    from lensdask.cli.terminal import print_verified
    from lensdask.compute import verify as verify_store

    is_whole = True
    for store in stores:
        found = verify_store(store, running.options)
        is_whole = is_whole and found.is_whole
        if as_json:
            print(json.dumps(found.as_json()))
        else:
            print_verified(found)
    if not is_whole:
        raise typer.Exit(1)
