"""What commands show in a terminal: tables of results, and the progress of a training."""

import time
from collections.abc import Iterable
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from lensdask.compute.results import number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lensdask.compute import RunResult, RunStatus, Verified
    from lensdask.training import History

__all__ = [
    "counted",
    "epochs_shown",
    "print_evaluation",
    "print_experiments",
    "print_reproduction",
    "print_results",
    "print_scores",
    "print_status",
    "print_store",
    "print_verified",
]


@contextmanager
def epochs_shown(count: int, begins_with: str) -> "Iterator[Callable[[int, History], None]]":
    """Show the progress of a training, and give the function to call after each epoch.

    Parameters
    ----------
    count
        Epochs at the most.
    begins_with
        What is done before the first of them.
    """
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("epochs"),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, TextColumn("{task.fields[loss]}"), console=Console(stderr=True))
    task = progress.add_task("training", total=count, loss=begins_with)

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


def _print_rows(title: str, rows: Iterable[dict[str, Any]]) -> None:
    """Print rows of a result file: ours beside the published numbers."""
    table = Table(title=title, title_justify="left")
    for column in ("quantity", "measured", "published", "comparable"):
        table.add_column(column, justify="left" if column == "quantity" else "right", no_wrap=column != "quantity")
    for row in rows:
        measured = number(row["measured"], row["error"])
        published = number(row["published"], row["published_error"])
        table.add_row(_name(row), measured, published, "yes" if row["comparable"] else "no")
    Console().print(table)


def _name(row: dict[str, Any]) -> str:
    """Return what a row is about, with its series and its unit."""
    unit = "" if row["unit"] == "1" else f" ({row['unit']})"
    return ": ".join([*([row["series"]] if "series" in row else []), row["quantity"]]) + unit


def print_results(results: list[dict[str, Any]]) -> None:
    """Print the tables of bias tests, contents of ``result.json`` files."""
    for result in results:
        _print_rows(f"{result['experiment']}, {result['size']} galaxies", result["rows"])


def print_reproduction(result: dict[str, Any]) -> None:
    """Print the table of a reproduced figure or table; the points of its curves are left to the picture."""
    rows = [row for row in result["rows"] if "x" not in row]
    _print_rows(f"{result['experiment']}, {result['size']}: {result['what']}", rows)
    print(f"{result['source']}: {result['claim']}")
    if result["note"]:
        print(result["note"])
    if len(rows) < len(result["rows"]):
        print(f"{len(result['rows']) - len(rows)} points of curves are in result.json")


def print_experiments(experiments: Iterable[tuple[str, str, str]]) -> None:
    """Print what can be reproduced: identifier, what is measured, and figure or table of the paper."""
    table = Table("ID", "what", "paper")
    for line in experiments:
        table.add_row(*line)
    Console().print(table)


def print_evaluation(result: dict[str, Any]) -> None:
    """Print how close mass maps are to the truth: a line for each method; the power is left to the picture."""
    rows = [row for row in result["rows"] if "x" not in row]
    fields = counted(result["size"], "fields")
    table = Table(title=f"{fields}; smoothed: by {result['smoothing']:g} arcmin", title_justify="left")
    # Where a terminal is narrow, names go on in the next line; numbers are never cut.
    table.add_column("quantity", overflow="fold")
    table.add_column("method", overflow="fold")
    table.add_column("measured", justify="right", no_wrap=True)
    for quantity in dict.fromkeys(row["quantity"] for row in rows):
        about = [row for row in rows if row["quantity"] == quantity]
        for place, row in enumerate(about):
            name = quantity.replace("total_slope", _TOTAL_SLOPE) if place == 0 else ""
            table.add_row(Text(name), Text(row["series"]), number(row["measured"], row["error"]))
    Console().print(table)
    methods = list(dict.fromkeys(row["series"] for row in rows))
    if len(methods) > 1:
        print(f"rmse / {methods[0]}: the other stores over the first, field by field")


_TOTAL_SLOPE = "slope by total least squares"


def print_scores(result: dict[str, Any]) -> None:
    """Print how good predictions of lenses are, with 95 % intervals; curves are left to the picture."""
    table = Table(title=f"{result['network']}, {counted(result['size'], 'lenses')}", title_justify="left")
    table.add_column("quantity", overflow="fold")
    table.add_column("lenses", overflow="fold")
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("95 % of resamplings", justify="right", no_wrap=True)
    for row in result["rows"]:
        if "x" not in row:
            unit = "" if row["unit"] == "1" else f" ({row['unit']})"
            measured = "–" if row["measured"] is None else f"{row['measured']:.4f}"
            known = row.get("low") is not None
            interval = f"{row['low']:.4f} to {row['high']:.4f}" if known else "–"
            table.add_row(Text(row["quantity"] + unit), Text(row["series"]), measured, interval)
    Console().print(table)


def counted(count: int, unit: str) -> str:
    """Return a count with its unit, which is given in the plural."""
    singular = f"{unit[:-3]}y" if unit.endswith("ies") else unit.removesuffix("es" if unit.endswith("ses") else "s")
    return f"{count} {singular if count == 1 else unit}"


def print_store(path: "Path", result: "RunResult", unit: str) -> None:
    """Print which store a run has written, and how fast.

    Parameters
    ----------
    path
        The store.
    result
        What the run has done.
    unit
        What its objects are, in the plural.
    """
    speed = f"{result.record()['objects_per_s']:.3g} per s"
    print(f"{path}: {counted(result.objects, unit)} in {result.wall_s:.1f} s, {speed}")


def print_verified(found: "Verified") -> None:
    """Print what is wrong with a store, a line for each file."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for place, reason in found.damage.items():
        console.print(f"{place} {reason}")
    verdict = f"{len(found.damage)} damaged or missing" if found.damage else "whole"
    left = f"; {counted(found.left, 'chunks')} left, compute with --resume" * bool(found.left)
    console.print(f"{found.store}: {counted(found.files, 'files')}, {verdict}{left}")


def print_status(runs: "Iterable[RunStatus]") -> None:
    """Print how far runs are."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for run in runs:
        console.print(f"{run.label}: {_state(run)}  ({run.journal})")
        chunks = f"{run.done} of {run.chunks} done, {run.left} left"
        console.print(f"  chunks: {chunks}" + f", {len(run.quarantined)} quarantined" * bool(run.quarantined))
        rate = "" if run.rate is None else f", {run.rate:.4g} per s"
        console.print(f"  {run.unit}: {run.objects_done} of {run.objects}{rate}")
        console.print(f"  time: {_times(run)}")
        if run.damage is not None:
            console.print(f"  damage: {run.damage}")
        for fault in run.quarantined:
            console.print(f"  chunk {fault.chunk}, {run.unit} {fault.start} to {fault.stop - 1}: {fault.reason}")


def _state(run: "RunStatus") -> str:
    if run.running:
        return "at work"
    if run.is_gone:
        return "its store is gone; start again with --overwrite"
    if run.left:
        return "stopped; continue with --resume"
    if run.damage is not None:
        return "finished, but its store is damaged; mend it with --resume"
    return "finished except for quarantined chunks; retry them with --resume" if run.quarantined else "finished"


def _times(run: "RunStatus") -> str:
    """Return how long a run worked and will, and when it was last heard of."""
    parts = [f"{_span(run.wall_s)} of work" + f" in {run.sessions} sessions" * (run.sessions > 1)]
    if run.left:
        parts.append("time left unknown" if run.eta_s is None else f"{_span(run.eta_s)} left")
    if run.updated is not None and run.running:
        parts.append(f"last heard of {_span(time.time() - run.updated)} ago")
    return ", ".join(parts)


def _span(seconds: float) -> str:
    """Return a span of time like 1:02:03."""
    return str(timedelta(seconds=round(max(0.0, seconds))))
