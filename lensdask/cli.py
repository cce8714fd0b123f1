"""The ``lensdask`` command."""

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lensdask.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lensdask.compute import RunResult
    from lensdask.shear.runs import RunOptions
    from lensdask.training import History


class _Commands(typer.core.TyperGroup):
    """Commands whose mistakes are told in one line."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command; bad input exits with 2, an interruption with 130."""
        try:
            return super().invoke(ctx)
        except InputError as error:
            message, code = str(error), 2
        except BrokenPipeError:
            raise  # click ends quietly when a pager or head has read enough
        except ConnectionError as error:
            message, code = str(error), 1
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            message, code = f"{place}{error.strerror or error}; expected a place that can be read and written", 2
        except KeyboardInterrupt as interrupt:
            message, code = str(interrupt) or "interrupted", 130
        print(f"lensdask: {message}", file=sys.stderr)
        raise typer.Exit(code)


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
    """Gravitational-lensing measurement with neural networks."""


Galaxies = Annotated[int, typer.Option(help="Number of galaxies, even: they come in orthogonal pairs.")]
Catalogue = Annotated[Path | None, typer.Option(help="Your CatSim FITS file; a parametric mock without it.")]
NoiseSigma = Annotated[
    float | None,
    typer.Option(help="Noise per pixel at zero point 30; 0 for none. Default: LSST year 10."),
]
MagnitudeLimit = Annotated[float, typer.Option(help="Galaxies are brighter than this in i.")]
PsfE1 = Annotated[float, typer.Option(help="PSF ellipticity e1.")]
PsfE2 = Annotated[float, typer.Option(help="PSF ellipticity e2.")]
Shear = Annotated[float, typer.Option(help="Amplitude of the applied shears.")]
Estimator = Annotated[str, typer.Option(help="d4cnn, fpfs, or the path of a network.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Workers = Annotated[int | None, typer.Option(help="Workers of a local cluster. Default: one per core.")]
Cluster = Annotated[str, typer.Option(help="local, threads, cuda, tcp://…, tls://…, or a scheduler file.")]
Insecure = Annotated[bool, typer.Option(help="Allow an unencrypted scheduler on another machine.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Resume = Annotated[bool, typer.Option(help="Continue a run that was interrupted.")]
Overwrite = Annotated[bool, typer.Option(help="Replace an output that exists.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, alone, on stdout.")]


def _options(
    *, cluster: str, workers: int | None, insecure: bool, device: str, resume: bool, overwrite: bool
) -> "RunOptions":
    from lensdask.shear.runs import RunOptions

    if resume and overwrite:
        raise InputError("--resume and --overwrite: expected one of them")
    return RunOptions(
        cluster=cluster,
        workers=workers,
        insecure=insecure,
        device=device,
        if_exists="resume" if resume else "overwrite" if overwrite else "refuse",
    )


def _observation(noise_sigma: float | None, psf_e1: float, psf_e2: float, shear: float) -> Any:
    from lensdask.conventions import LSST_Y10_NOISE
    from lensdask.shear.simulate import Observation

    sigma = LSST_Y10_NOISE if noise_sigma is None else noise_sigma
    return Observation(noise_sigma=sigma, psf_e1=psf_e1, psf_e2=psf_e2, shear=shear)


def _finish(quarantined: int) -> None:
    """Exit with 1 if chunks were given up."""
    if quarantined:
        print(f"{quarantined} chunks were given up; try them again with --resume", file=sys.stderr)
        raise typer.Exit(1)


@shear.command()
def simulate(
    stamps: Annotated[Path, typer.Argument(help="Store of stamps to write.")],
    galaxies: Galaxies,
    catalogue: Catalogue = None,
    magnitude_limit: MagnitudeLimit = 25.3,
    noise_sigma: NoiseSigma = None,
    psf_e1: PsfE1 = 0.0,
    psf_e2: PsfE2 = 0.0,
    shear: Shear = 0.02,
    seed: Seed = 0,
    workers: Workers = None,
    cluster: Cluster = "local",
    insecure: Insecure = False,
    device: Device = "auto",
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Simulate galaxies under four shears, (±g, 0) and (0, ±g)."""
    from lensdask.shear.runs import simulate_run

    result = simulate_run(
        stamps,
        galaxies=galaxies,
        observation=_observation(noise_sigma, psf_e1, psf_e2, shear),
        catalogue=catalogue,
        magnitude_limit=magnitude_limit,
        seed=seed,
        options=_options(
            cluster=cluster,
            workers=workers,
            insecure=insecure,
            device=device,
            resume=resume,
            overwrite=overwrite,
        ),
    )
    _report_store(stamps, result, as_json)


@shear.command()
def measure(
    stamps: Annotated[Path, typer.Argument(help="Store of stamps.")],
    shapes: Annotated[Path, typer.Argument(help="Store of shapes to write.")],
    estimator: Estimator = "d4cnn",
    workers: Workers = None,
    cluster: Cluster = "local",
    insecure: Insecure = False,
    device: Device = "auto",
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Measure ellipticities, fluxes and their shear responses."""
    from lensdask.shear.runs import measure_run

    options = _options(
        cluster=cluster,
        workers=workers,
        insecure=insecure,
        device=device,
        resume=resume,
        overwrite=overwrite,
    )
    _report_store(shapes, measure_run(stamps, shapes, estimator=estimator, options=options), as_json)


@shear.command()
def bias(
    run_dir: Annotated[Path, typer.Argument(help="Directory of the results.")],
    galaxies: Galaxies,
    estimator: Estimator = "d4cnn",
    catalogue: Catalogue = None,
    magnitude_limit: MagnitudeLimit = 25.3,
    noise_sigma: NoiseSigma = None,
    psf_e1: PsfE1 = 0.0,
    psf_e2: PsfE2 = 0.0,
    shear: Shear = 0.02,
    bootstrap: Annotated[int, typer.Option(help="Resamplings; the paper has 20.")] = 1000,
    seed: Seed = 0,
    workers: Workers = None,
    cluster: Cluster = "local",
    insecure: Insecure = False,
    device: Device = "auto",
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Measure m, c and the shape noise on simulated galaxies."""
    from lensdask.plots.shear import plot_bias
    from lensdask.shear.runs import run_bias

    outcome = run_bias(
        run_dir,
        galaxies=galaxies,
        estimator=estimator,
        observation=_observation(noise_sigma, psf_e1, psf_e2, shear),
        catalogue=catalogue,
        magnitude_limit=magnitude_limit,
        replicas=bootstrap,
        seed=seed,
        options=_options(
            cluster=cluster,
            workers=workers,
            insecure=insecure,
            device=device,
            resume=resume,
            overwrite=overwrite,
        ),
    )
    result = json.loads((run_dir / "result.json").read_text())
    picture = run_dir / "bias.png"
    plot_bias([result], picture)
    if as_json:
        print(json.dumps(result, indent=2))
    else:
        _print_results([result])
        print(f"picture: {picture}")
    _finish(len(outcome.run.quarantined))


@shear.command()
def train(
    model: Annotated[Path, typer.Argument(help="File of the weights to write, *.safetensors.")],
    config: Annotated[Path | None, typer.Option(help="Recipe, a TOML file; the shipped network's without it.")] = None,
    galaxies: Annotated[int | None, typer.Option(help="Training stamps.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training set at the most.")] = None,
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
    with _epochs(recipe.training.epochs) as on_epoch:
        train_d4cnn(
            model,
            recipe,
            catalogue=catalogue,
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
    """Test both estimators on LSST-like galaxies, with and without noise; about two minutes on two cores."""
    from lensdask.plots.shear import plot_bias
    from lensdask.shear.demo import run_demo

    report = run_demo(directory, galaxies=galaxies, workers=workers)
    picture = directory / "demo.png"
    plot_bias(report["results"], picture)
    if as_json:
        print(json.dumps(report, indent=2))
        _finish(report["quarantined"])
        return
    _print_results(report["results"])
    for name, cost in report["ms_per_galaxy"].items():
        print(f"{name}: {cost:.3f} ms per galaxy (one 64 x 64 stamp) for shape, flux and responses on one core")
    print(f"picture: {picture}")
    _finish(report["quarantined"])


@contextmanager
def _epochs(count: int) -> "Iterator[Callable[[int, History], None]]":
    """Show the progress of a training."""
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs"),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, TextColumn("{task.fields[loss]}"), console=Console(stderr=True))
    task = progress.add_task("training", total=count, loss="simulating galaxies")

    def on_epoch(done: int, history: "History") -> None:
        # Not before the input is accepted: a mistake is told in one line.
        progress.start()
        if done:
            loss = f"loss {history.training[-1]:.4g}, validation {history.validation[-1]:.4g}"
            progress.update(task, completed=done, loss=loss)

    try:
        yield on_epoch
    finally:
        if progress.live.is_started:
            progress.stop()


def _report_store(path: Path, result: "RunResult", as_json: bool) -> None:
    from lensdask.compute import run_record

    record = run_record(result.device, result.wall_s, result.objects)
    if as_json:
        print(json.dumps({"store": str(path), "run": record}, indent=2))
    else:
        print(f"{path}: {result.objects} galaxies in {result.wall_s:.1f} s, {record['objects_per_s']:.0f} per s")
    _finish(len(result.quarantined))


def _print_results(results: list[dict[str, Any]]) -> None:
    for result in results:
        table = Table(title=f"{result['experiment']}, {result['size']} galaxies", title_justify="left")
        for column in ("quantity", "measured", "published", "comparable"):
            table.add_column(column, justify="left" if column == "quantity" else "right", no_wrap=True)
        for row in result["rows"]:
            measured = _with_error(row["measured"], row["error"])
            published = _with_error(row["published"], row["published_error"])
            table.add_row(row["quantity"], measured, published, "yes" if row["comparable"] else "no")
        Console().print(table)


def _with_error(value: float | None, error: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:+.2e}" + ("" if error is None else f" ± {error:.1e}")


def main() -> None:
    """Run the command."""
    app()
