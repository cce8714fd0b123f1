"""The ``lensdask`` command."""

import errno
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from lensdask.errors import InputError
from lensdask.options import (
    AsJson,
    Catalogue,
    Device,
    Estimator,
    Galaxies,
    Overwrite,
    Running,
    Seed,
    Simulation,
    Workers,
    with_groups,
)
from lensdask.terminal import epochs_shown, print_experiments, print_reproduction, print_results, print_status

if TYPE_CHECKING:
    from lensdask.compute import RunResult
    from lensdask.shear.selection import Selection


class _Commands(typer.core.TyperGroup):
    """Commands whose mistakes are told in one line."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; bad input exits with 2, what came from outside with 3, an interruption with 130."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            message, code = str(error), 2
        except BrokenPipeError:
            raise  # click ends quietly when a pager or head has read enough
        except OSError as error:
            message, code = _told(error), 3 if _is_outside(error) else 2
        except KeyboardInterrupt as interrupt:
            message, code = str(interrupt) or "interrupted", 130
        print(f"lensdask: {message}", file=sys.stderr)
        raise typer.Exit(code)


def _is_outside(error: OSError) -> bool:
    """Return whether nothing in the command is at fault: a full disk, a scheduler that was lost or does not answer."""
    return isinstance(error, ConnectionError | TimeoutError) or error.errno in (errno.ENOSPC, errno.EDQUOT)


def _told(error: OSError) -> str:
    """Return what an error of the operating system is about; only one of a place needs advice on where to write."""
    place = f"{error.filename}: " if error.filename else ""
    message = error.strerror or str(error) or type(error).__name__
    advice = "" if _is_outside(error) else "; expected a place that can be read and written"
    return f"{place}{message}{advice}"


app = typer.Typer(cls=_Commands, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
shear = typer.Typer(no_args_is_help=True, help="Shear of galaxies: simulate, train, measure, test the bias.")
app.add_typer(shear, name="shear")


def _show_version(wanted: bool) -> None:
    if wanted:
        from lensdask.data import code_version

        print(code_version())
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")]


@app.callback()
def root(version: Version = False) -> None:
    """Gravitational-lensing measurement with neural networks.

    Exit codes: 0 done, 1 finished but for chunks that were given up, 2 bad input, 3 stopped from outside (full disk,
    lost scheduler), 130 interrupted. After 1, 3 and 130 continue with --resume.
    """


def _selection(magnitude: float | None, width: float) -> "Selection | None":
    from lensdask.shear.selection import magnitude_cut

    if magnitude is None and width:
        raise InputError(f"--cut-width {width}: expected a --magnitude-cut as well")
    return None if magnitude is None else magnitude_cut(magnitude, width)


def _finish(quarantined: int) -> None:
    """Exit with 1 if chunks were given up."""
    if quarantined:
        print(f"{quarantined} chunks were given up; try them again with --resume", file=sys.stderr)
        raise typer.Exit(1)


@shear.command()
@with_groups
def simulate(
    stamps: Annotated[Path, typer.Argument(help="Store of stamps to write.")],
    *,
    galaxies: Galaxies,
    simulation: Simulation,
    seed: Seed = 0,
    running: Running,
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
    _report_store(stamps, result, as_json)


@shear.command()
@with_groups
def measure(
    stamps: Annotated[Path, typer.Argument(help="Store of stamps.")],
    shapes: Annotated[Path, typer.Argument(help="Store of shapes to write.")],
    *,
    estimator: Estimator = "d4cnn",
    running: Running,
    as_json: AsJson = False,
) -> None:
    """Measure ellipticities, fluxes and their shear responses."""
    from lensdask.shear.runs import measure_run

    _report_store(shapes, measure_run(stamps, shapes, estimator=estimator, options=running.options), as_json)


@shear.command()
@with_groups
def bias(
    run_dir: Annotated[Path, typer.Argument(help="Directory of the results.")],
    *,
    galaxies: Galaxies,
    estimator: Estimator = "d4cnn",
    simulation: Simulation,
    magnitude_cut: Annotated[
        float | None,
        typer.Option(help="Keep galaxies that FPFS measures brighter than this; m and c are corrected for it."),
    ] = None,
    cut_width: Annotated[
        float, typer.Option(help="Half width of the magnitude cut, a smooth step; 0 for a hard cut.")
    ] = 0.0,
    bootstrap: Annotated[int, typer.Option(help="Resamplings; the paper has 20.")] = 1000,
    galaxies_per_task: Annotated[
        int | None, typer.Option(help="Chosen by the size of the run; does not change its result.")
    ] = None,
    seed: Seed = 0,
    running: Running,
    as_json: AsJson = False,
) -> None:
    """Measure m, c and the shape noise on simulated galaxies."""
    from lensdask.plots.shear import plot_bias
    from lensdask.shear.runs import run_bias

    outcome = run_bias(
        run_dir,
        galaxies=galaxies,
        estimator=estimator,
        observation=simulation.observation,
        catalogue=simulation.catalogue,
        magnitude_limit=simulation.magnitude_limit,
        selection=_selection(magnitude_cut, cut_width),
        replicas=bootstrap,
        galaxies_per_task=galaxies_per_task,
        seed=seed,
        options=running.options,
    )
    result = json.loads((run_dir / "result.json").read_text())
    picture = run_dir / "bias.png"
    plot_bias([result], picture)
    if as_json:
        print(json.dumps(result, indent=2))
    else:
        print_results([result])
        print(f"picture: {picture}")
    _finish(len(outcome.run.quarantined))


@shear.command()
def train(
    model: Annotated[Path, typer.Argument(help="File of the weights to write, *.safetensors.")],
    config: Annotated[Path | None, typer.Option(help="Recipe, a TOML file; that of d4cnn-fpfs without it.")] = None,
    galaxies: Annotated[int | None, typer.Option(help="Training stamps.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training set at the most.")] = None,
    start: Annotated[Path | None, typer.Option(help="Weights to go on from, of the same network.")] = None,
    catalogue: Catalogue = None,
    device: Device = "auto",
    seed: Annotated[int | None, typer.Option(help="Seed of weights, galaxies and noise.")] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Train a D4CNN on simulated galaxies."""
    from dataclasses import replace

    from lensdask.shear.train import read_recipe, train_d4cnn

    recipe = read_recipe(config)
    top: dict[str, Any] = {k: v for k, v in {"galaxies": galaxies, "seed": seed}.items() if v is not None}
    loop = recipe.training if epochs is None else replace(recipe.training, epochs=epochs)
    recipe = replace(recipe, training=loop, **top)
    with epochs_shown(recipe.training.epochs) as on_epoch:
        train_d4cnn(
            model,
            recipe,
            catalogue=catalogue,
            start=start,
            device=device,
            overwrite=overwrite,
            on_epoch=on_epoch,
        )
    card = json.loads(model.with_suffix(".json").read_text())
    if as_json:
        print(json.dumps(card, indent=2))
    else:
        print(f"{model}: {card['parameters']} parameters, {card['epochs_done']} epochs, {card['wall_s']} s")


@app.command()
def demo(
    directory: Annotated[Path, typer.Argument(help="Directory of the results.")] = Path("demo"),
    galaxies: Galaxies = 6000,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Test both estimators on LSST-like galaxies, with and without noise; about a minute on two cores."""
    from lensdask.plots.shear import plot_bias
    from lensdask.shear.demo import run_demo

    report = run_demo(directory, galaxies=galaxies, workers=workers)
    picture = directory / "demo.png"
    plot_bias(report["results"], picture)
    if as_json:
        print(json.dumps(report, indent=2))
        _finish(report["quarantined"])
        return
    print_results(report["results"])
    for name, cost in report["ms_per_galaxy"].items():
        print(f"{name}: {cost:.3f} ms per galaxy (one 64 x 64 stamp) for shape, flux and responses on one core")
    print(f"picture: {picture}")
    _finish(report["quarantined"])


def _list_experiments(wanted: bool) -> None:
    if wanted:
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
    running: Running,
    as_json: AsJson = False,
) -> None:
    """Reproduce a figure or a table of a paper."""
    from lensdask.reproduce import run_experiment

    result = run_experiment(experiment, directory, size=size, seed=seed, options=running.options)
    if as_json:
        print(json.dumps(result, indent=2))
    else:
        print_reproduction(result)
        print(f"picture: {directory / experiment}.png")
    report = running.performance_report
    if report is not None and not report.exists():
        why = f"{experiment} computes in this process, on no cluster, unless a line above says otherwise"
        print(f"no performance report: {why}", file=sys.stderr)
    _finish(result["run"]["quarantined"])


@app.command()
def status(
    run: Annotated[Path, typer.Argument(help="Directory of results, store that a run wrote, or journal.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each run, alone, on stdout.")
    ] = False,
) -> None:
    """Say how far a run is: done, left, rate, time left, quarantined chunks. It is not disturbed."""
    from lensdask.compute import find_journals
    from lensdask.compute import status as status_of

    # A reproduced figure may consist of several runs.
    found = [status_of(journal) for journal in find_journals(run)]
    if as_json:
        for one in found:
            print(json.dumps(one.as_json()))
    else:
        print_status(found)


def _report_store(path: Path, result: "RunResult", as_json: bool) -> None:
    record = result.record()
    if as_json:
        print(json.dumps({"store": str(path), "run": record}, indent=2))
    else:
        print(f"{path}: {result.objects} galaxies in {result.wall_s:.1f} s, {record['objects_per_s']:.0f} per s")
    _finish(len(result.quarantined))


def main() -> None:
    """Run the command."""
    app()
