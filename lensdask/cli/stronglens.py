"""``lensdask stronglens``: simulate, import, fit, train, classify, evaluate."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lensdask.cli.options import AsJson, OnProcessors, Overwrite, Running, Seed, with_groups
from lensdask.cli.root import check_place, finish, report_store, unmeasured
from lensdask.cli.training import Model, Training, train_and_report

__all__ = ["stronglens"]

LensStore = Annotated[
    Path, typer.Argument(metavar="LENSES", help="Store of images, from stronglens simulate or import.")
]
"""What is fitted, or classified."""

Fits = Annotated[
    Path | None,
    typer.Option(metavar="FITS", help="Store from stronglens fit of these lenses, which saves fitting them again."),
]
"""For networks that see residuals."""

stronglens = typer.Typer(
    no_args_is_help=True,
    help="Dark matter from images of strong lenses: simulate or import, fit, train, classify, evaluate.",
)
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


@stronglens.command("import")
def import_published(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="Published set: folders no_sub, cdm and axion (or sphere, vort), each with a file NAME.npy for an "
            "image, or NAME.npz with the arrays image and mass (eV). Files with Python objects are refused.",
        ),
    ],
    lenses: Annotated[Path, typer.Argument(metavar="LENSES", help="Store of images to write.")],
    *,
    survey: Annotated[
        str, typer.Option(help="Pixels of the images: euclid for Model II (Model A), hst for Model III (Model B).")
    ] = "euclid",
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Make a store of a published set of images, such as that of DeepLenseSim."""
    from lensdask.cli.terminal import counted
    from lensdask.data import write
    from lensdask.stronglens.published import read_published

    check_place(lenses, overwrite)
    dataset = read_published(folder, survey)
    write(dataset, lenses, overwrite=overwrite)
    count, pixels = dataset.sizes["lens"], dataset.sizes["x"]
    if as_json:
        print(json.dumps({"store": str(lenses), "lenses": count, "pixels": pixels, "survey": survey}, indent=2))
    else:
        print(f"{lenses}: {counted(count, 'lenses')} of {pixels} x {pixels} pixels")


@stronglens.command()
@with_groups
def train(
    model: Model,
    *,
    lenses: Annotated[Path, typer.Option(metavar="LENSES", help="Store of images with known classes.")],
    network: Annotated[
        str | None,
        typer.Option(help="lens-net, resnet50, c8, harmonic or et. Default: that of the recipe, lens-net."),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="classify: none, cdm or vortex; mass: log10 of the axion mass, from lenses with a vortex. Default: "
            "that of the recipe, classify."
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.toml",
            help="Recipe: one that comes with lensdask, such as lens-c8-paper, or a TOML file. Default: that of the "
            "network for a CPU.",
        ),
    ] = None,
    fits: Fits = None,
    per_class: Annotated[
        int | None, typer.Option(help="Lenses of each class to learn from; 0 for all. Default: that of the recipe, 0.")
    ] = None,
    training: Training,
    as_json: AsJson = False,
) -> None:
    """Train a network to tell classes apart or to measure masses, and calibrate it on lenses set aside."""
    from functools import partial

    from lensdask.stronglens.nets.recipe import recipe_for
    from lensdask.stronglens.nets.training import train as train_network

    train_and_report(
        partial(train_network, lenses=lenses, fits=fits),
        model,
        recipe_for(network, task, config),
        training,
        begins_with="reading lenses",
        as_json=as_json,
        per_class=per_class,
    )


@stronglens.command()
@with_groups
def classify(
    lenses: LensStore,
    predictions: Annotated[Path, typer.Argument(metavar="PREDICTIONS", help="Store to write.")],
    *,
    network: Annotated[
        str,
        typer.Option(
            metavar="NAME|PATH", help="A network that comes with lensdask, or a file of weights from stronglens train."
        ),
    ] = "lens-net",
    fits: Fits = None,
    running: Running,
    as_json: AsJson = False,
) -> None:
    """Find the probability of each class for all lenses; or, with a network for it, the axion mass and its error."""
    from lensdask.stronglens.prediction import classify_run

    result = classify_run(lenses, predictions, network=network, fits=fits, options=running.options, warn=_tell)
    report_store(predictions, result, "lenses", as_json)


def _tell(line: str) -> None:
    print(f"lensdask: {line}", file=sys.stderr)


@stronglens.command()
@with_groups
def evaluate(
    predictions: Annotated[Path, typer.Argument(metavar="PREDICTIONS", help="Store from stronglens classify.")],
    lenses: Annotated[Path, typer.Argument(metavar="LENSES", help="Store of the images, with the true classes.")],
    out_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Directory of the results.")],
    *,
    resamplings: Annotated[int, typer.Option(help="Resamplings of the lenses, for 95 % intervals.")] = 1000,
    seed: Seed = 0,
    running: OnProcessors,
    as_json: AsJson = False,
) -> None:
    """Compare predictions with the truth: accuracy, areas under curves, likelihood, calibration; errors of masses."""
    from lensdask.cli.terminal import print_scores
    from lensdask.stronglens.evaluation.evaluate import evaluate as evaluated

    options = running.options
    result = evaluated(out_dir, predictions, lenses, resamplings=resamplings, seed=seed, options=options, warn=_tell)
    picture = _draw(result, out_dir, predictions, lenses)
    if as_json:
        print(json.dumps(result, indent=2))
    else:
        print_scores(result)
        print(f"picture: {picture}")
    # Of a class or a range of masses without lenses there is no score.
    overall = [row for row in result["rows"] if row["series"] == "all lenses"]
    finish(result["run"]["quarantined"], unmeasured(overall))


def _draw(result: dict[str, Any], out_dir: Path, predictions: Path, lenses: Path) -> Path:
    from lensdask.data import open as open_store
    from lensdask.plots.lenses import plot_classes, plot_masses
    from lensdask.stronglens.evaluation.evaluate import judged_lenses

    picture = out_dir / "evaluation.png"
    if result["task"] == "classify":
        plot_classes(result, picture)
    else:
        judged = judged_lenses(open_store(predictions), open_store(lenses))
        title, (mass, error) = f"{result['network']}, {result['size']} lenses", judged.predicted.T
        plot_masses(mass, error, judged.true, picture, title=title)
    return picture
