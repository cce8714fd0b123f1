"""The ``lensdask`` command."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from lensdask.errors import InputError
from lensdask.terminal import epochs_shown, print_experiments, print_reproduction, print_results

if TYPE_CHECKING:
    from lensdask.compute import RunResult
    from lensdask.shear.execution import RunOptions
    from lensdask.shear.selection import Selection


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
NoiseOfPairs = Annotated[
    str, typer.Option("--noise", help="independent, or exchanged within orthogonal pairs: far smaller errors of m.")
]
NoiseFwhm = Annotated[float, typer.Option(help="FWHM of the kernel that correlates the noise, arcsec; 0 for white.")]
MagnitudeLimit = Annotated[float, typer.Option(help="Galaxies are brighter than this in i.")]
PsfE1 = Annotated[float, typer.Option(help="PSF ellipticity e1.")]
PsfE2 = Annotated[float, typer.Option(help="PSF ellipticity e2.")]
MagnitudeCut = Annotated[
    float | None,
    typer.Option(help="Keep galaxies that FPFS measures brighter than this; m and c are corrected for it."),
]
CutWidth = Annotated[float, typer.Option(help="Half width of the magnitude cut, a smooth step; 0 for a hard cut.")]
Shear = Annotated[float, typer.Option(help="Amplitude of the applied shears.")]
Estimator = Annotated[
    str,
    typer.Option(
        help="d4cnn, d4cnn-fpfs, d4cnn-paper, d4cnn-relu, cnn, fpfs, fpfs:SIGMA,C, the path of a network, or "
        "NETWORK:FWHM for another resmoothing kernel."
    ),
]
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
    from lensdask.shear.execution import RunOptions

    if resume and overwrite:
        raise InputError("--resume and --overwrite: expected one of them")
    return RunOptions(
        cluster=cluster,
        workers=workers,
        insecure=insecure,
        device=device,
        if_exists="resume" if resume else "overwrite" if overwrite else "refuse",
    )


def _observation(noise_sigma: float | None, **settings: Any) -> Any:
    from lensdask.conventions import LSST_Y10_NOISE
    from lensdask.shear.simulate import Observation

    sigma = LSST_Y10_NOISE if noise_sigma is None else noise_sigma
    return Observation(noise_sigma=sigma, **settings)


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
def simulate(
    stamps: Annotated[Path, typer.Argument(help="Store of stamps to write.")],
    galaxies: Galaxies,
    catalogue: Catalogue = None,
    magnitude_limit: MagnitudeLimit = 25.3,
    noise_sigma: NoiseSigma = None,
    noise: NoiseOfPairs = "independent",
    noise_fwhm: NoiseFwhm = 0.0,
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
        observation=_observation(
            noise_sigma, noise=noise, noise_fwhm=noise_fwhm, psf_e1=psf_e1, psf_e2=psf_e2, shear=shear
        ),
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
    noise: NoiseOfPairs = "independent",
    noise_fwhm: NoiseFwhm = 0.0,
    psf_e1: PsfE1 = 0.0,
    psf_e2: PsfE2 = 0.0,
    shear: Shear = 0.02,
    magnitude_cut: MagnitudeCut = None,
    cut_width: CutWidth = 0.0,
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
        observation=_observation(
            noise_sigma, noise=noise, noise_fwhm=noise_fwhm, psf_e1=psf_e1, psf_e2=psf_e2, shear=shear
        ),
        catalogue=catalogue,
        magnitude_limit=magnitude_limit,
        selection=_selection(magnitude_cut, cut_width),
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
def reproduce(
    experiment: Annotated[str, typer.Argument(metavar="ID", help="Experiment, as --list prints it.")],
    directory: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Directory of the results.")],
    size: Annotated[str, typer.Option(help="tiny (seconds), small (minutes) or paper.")] = "small",
    show_list: Annotated[  # noqa: ARG001  its callback does the work
        bool, typer.Option("--list", callback=_list_experiments, is_eager=True, help="Print the experiments.")
    ] = False,
    seed: Seed = 0,
    workers: Workers = None,
    cluster: Cluster = "local",
    insecure: Insecure = False,
    device: Device = "auto",
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Reproduce a figure or a table of a paper."""
    from lensdask.reproduce import run_experiment

    options = _options(
        cluster=cluster,
        workers=workers,
        insecure=insecure,
        device=device,
        resume=resume,
        overwrite=overwrite,
    )
    result = run_experiment(experiment, directory, size=size, seed=seed, options=options)
    if as_json:
        print(json.dumps(result, indent=2))
    else:
        print_reproduction(result)
        print(f"picture: {directory / experiment}.png")
    _finish(result["run"]["quarantined"])


def _report_store(path: Path, result: "RunResult", as_json: bool) -> None:
    from lensdask.compute import run_record

    record = run_record(result.device, result.wall_s, result.objects)
    if as_json:
        print(json.dumps({"store": str(path), "run": record}, indent=2))
    else:
        print(f"{path}: {result.objects} galaxies in {result.wall_s:.1f} s, {record['objects_per_s']:.0f} per s")
    _finish(len(result.quarantined))


def main() -> None:
    """Run the command."""
    app()
