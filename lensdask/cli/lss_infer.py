"""``lensdask lss infer``: from summaries to constraints."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lensdask.cli.options import AsJson, Device, Overwrite, Seed
from lensdask.cli.root import finish, unmeasured

if TYPE_CHECKING:
    from lensdask.lss.inference.infer import Inference

__all__ = ["infer"]


def infer(
    summaries: Annotated[Path, typer.Argument(metavar="SUMMARIES", help="Store of summaries of simulations.")],
    out_dir: Annotated[Path, typer.Argument(metavar="OUT_DIR", help="Directory of the results.")],
    *,
    observation: Annotated[
        str,
        typer.Option(
            metavar="fiducial|ROW|FILE.npz",
            help="What was observed: the most likely summary at the fiducial parameters, a row of the store, which is "
            "then not learned from, or a file with the array theta_summary.",
        ),
    ] = "fiducial",
    mocks: Annotated[
        int,
        typer.Option(help="Mock surveys whose posteriors are compared with the truth; 0 for none, else 20 or more."),
    ] = 200,
    calibration: Annotated[
        Path | None,
        typer.Option(
            metavar="STORE",
            help="Summaries of mocks at parameters drawn from the prior. Default: rows set aside from SUMMARIES.",
        ),
    ] = None,
    density: Annotated[
        str, typer.Option(help="Model of the likelihood: mdn (mixture of Gaussians) or flow (needs zuko).")
    ] = "mdn",
    epochs: Annotated[
        int | None, typer.Option(help="Epochs of the training, of 100 000 samples at the most. Default: 20.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Most steps of the chain, which ends when it is long enough.")] = 20_000,
    seed: Seed = 0,
    device: Device = "auto",
    resume: Annotated[bool, typer.Option(help="Continue after an interruption.")] = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Learn the likelihood of summaries, sample the posterior of an observation, and test it on mock surveys.

    OUT_DIR gets result.json, chains.zarr, the likelihood, and the pictures corner.png and trust.png.
    """
    from lensdask.errors import InputError, check_choice
    from lensdask.lss.inference.chains import ChainSettings
    from lensdask.lss.inference.density import DENSITIES
    from lensdask.lss.inference.infer import infer as inferred

    if resume and overwrite:
        raise InputError("--resume and --overwrite: expected one of them")
    check_choice("density", density, DENSITIES)
    with _stages_shown() as report:
        found = inferred(
            out_dir,
            summaries,
            observation=observation,
            mocks=mocks,
            calibration=calibration,
            density=density,
            epochs=epochs,
            chain=ChainSettings(steps=steps),
            seed=seed,
            device=device,
            overwrite=overwrite,
            resume=resume,
            report=report,
            warn=lambda line: print(f"lensdask: {line}", file=sys.stderr),
        )
    pictures = _draw(found, out_dir)
    if as_json:
        print(json.dumps(found.result, indent=2))
    else:
        _print(found)
        print(f"pictures: {', '.join(map(str, pictures))}")
    finish(0, unmeasured(found.result["rows"]))


@contextmanager
def _stages_shown() -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar for each stage, and give the function to call with its name, what is done of it and the whole."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[unit]}")
    progress = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True))
    bars = {}

    def report(stage: str, done: int, total: int) -> None:
        # Not before the input is accepted: a mistake is told in one line.
        progress.start()
        if stage not in bars:
            bars[stage] = progress.add_task(stage, total=total, unit="epochs" if stage == "likelihood" else "steps")
        progress.update(bars[stage], completed=done, total=total)

    try:
        yield report
    finally:
        if progress.live.is_started:
            progress.stop()


def _draw(found: "Inference", out_dir: Path) -> tuple[Path, Path]:
    """Draw the posterior, and what shows whether to trust it."""
    from lensdask.lss.parameters import find_parameters
    from lensdask.plots.posteriors import plot_corner, plot_trust

    labels = [parameter.label for parameter in find_parameters(found.names)]
    corner, trust = out_dir / "corner.png", out_dir / "trust.png"
    plot_corner({found.observation.name: found.chain.draws}, labels, corner, truth=found.observation.truth)
    coverage = None if found.mocks is None else found.mocks.coverage
    plot_trust(
        trust,
        labels=labels,
        mean_difference=found.accuracy.mean,
        scatter_difference=found.accuracy.scatter,
        ranks=None if coverage is None else coverage.ranks,
        tarp=None
        if coverage is None
        else {"reference points from the prior": coverage.tarp, "about the summary": coverage.tarp_about_summary},
    )
    return corner, trust


def _print(found: "Inference") -> None:
    """Print the constraints, a line for each parameter, and what was tested."""
    from rich.console import Console
    from rich.table import Table

    rows = {row["quantity"]: row for row in found.result["rows"]}
    table = Table(title=f"observation: {found.observation.name}", title_justify="left")
    for column in ("parameter", "mean", "standard deviation", "68 %", "95 %", "truth"):
        table.add_column(column, justify="left" if column == "parameter" else "right")
    for name in [quantity.removesuffix(" lower 68 %") for quantity in rows if quantity.endswith(" lower 68 %")]:
        mean, scatter = rows[f"{name} mean"], rows[f"{name} standard deviation"]
        spans = [
            f"{rows[f'{name} lower {mass}']['measured']:.4g} to {rows[f'{name} upper {mass}']['measured']:.4g}"
            for mass in ("68 %", "95 %")
        ]
        truth = f"{mean['truth']:.4g}" if "truth" in mean else "–"
        table.add_row(name, f"{mean['measured']:.4g}", f"{scatter['measured']:.3g}", *spans, truth)
    Console().print(table)
    for quantity, row in rows.items():
        if quantity.startswith(("figure of merit", "p-value")):
            print(f"{quantity}: {row['measured']:.3g}")
    chain = found.result["chain"]
    print(f"chain: {chain['walkers']} walkers, {chain['autocorrelation_times']:.0f} autocorrelation times")
