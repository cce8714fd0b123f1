"""Sections of the page of benchmarks about large-scale structure."""

from typing import Any

import numpy as np
from bench_format import about, table, with_error

MOSAICS = """Mosaics of 6 x 6 tiles with eight maps of 64 x 64 pixels, one thread. The forward model is the three stages
before it in one; networks have their inputs ready, {forward} mosaics in a forward pass, {training} in a training
step."""

PREDICT = """The default network on {samples} mosaics of 6 x 6 tiles in {tasks} tasks, beside the same chunks without
Dask, store and journal. Two workers are {speedup} times as fast as one, two such processes {limit} times as fast as
one; the ratio of the two is {of_limit}. Of the time of two workers {share} is more than the two processes take."""

MEMORY = """The command on two workers, start and end of Python included; memory is the peak of a process. That of a
worker holds the tiles that it has read as well, at most 2 GiB of them, here all of a small store, and keeps what it
frees for the next arrays. It is {growth} times as large for {factor:g} times as many mosaics."""

SUMMARIES = """As many summaries as Kacprzak & Fluri 2022 have, in tasks of {chunk} that return random rows at once: all
that is left is the run itself on two workers, with its store and journal. A row, the parameters and their summaries, is
{row} bytes; nothing else is stored but the ids."""

MOSAIC_HEADER = ["stage", "mosaics/s", "ms"]
"""Of a table of stages of mosaics, on whatever device."""


def forward_section(part: dict[str, Any]) -> str:
    """Return the table of the forward model of large-scale structure."""
    rows = [(name, with_error(*cost)) for name, cost in part["milliseconds"].items()]
    ratios = ", ".join(f"{name} {ratio:.1f}" for name, ratio in part["ratios"].items())
    text = (
        "A mosaic of 6 x 6 tiles with eight maps of 64 x 64 pixels, CPU time of one thread. Moduli of spectra one pair "
        f"after another take, as multiples of all at once: {ratios}."
    )
    title = "## Mosaics of large-scale structure"
    return "\n\n".join([title, about(part), text, table(["stage", "ms per mosaic"], rows)])


def mosaic_cells(row: dict[str, Any]) -> list[str]:
    """Return the cells of a stage of mosaics."""
    rate = row["per_s"]
    return [row["stage"], f"{rate:,.0f}" if rate >= 10 else f"{rate:.2f}", with_error(row["ms"], row["spread"])]


def mosaics_section(part: dict[str, Any]) -> str:
    """Return the table of stages and networks of mosaics."""
    forward, training = (
        next(row["mosaics"] for row in part["rows"] if row["stage"].endswith(end)) for end in ("pass", "step")
    )
    rows = table(MOSAIC_HEADER, map(mosaic_cells, part["rows"]))
    text = MOSAICS.format(forward=forward, training=training)
    return "\n\n".join(["## Mosaics and networks, one CPU thread", about(part), text, rows])


def predict_section(part: dict[str, Any]) -> str:
    """Return the table of one and two workers that make summaries."""
    return workers_section(part, "## `lensdask lss predict`", PREDICT, "mosaics")


def workers_section(part: dict[str, Any], title: str, text: str, unit: str) -> str:
    """Return the table of a run on one and two workers, beside a plain loop in one and two processes."""
    told = text.format(
        samples=f"{part['samples']:,}",
        tasks=part["tasks"],
        speedup=with_error(*part["speedup"]),
        limit=with_error(*part["speedup_of_processes"]),
        of_limit=with_error(*part["of_limit"]),
        share=f"{100 * part['share'][0]:.1f} ± {100 * part['share'][1]:.1f} %",
    )
    medians = {way: float(np.median(seconds)) for way, seconds in part["seconds"].items()}
    rows = [(way, f"{median:.1f}", f"{part['samples'] / median:.1f}") for way, median in medians.items()]
    return "\n\n".join([title, about(part), told, table(["", "s", f"{unit}/s"], rows)])


def memory_section(part: dict[str, Any]) -> str:
    """Return the table of the command at a growing number of mosaics."""
    few, many = map(int, part["runs"])
    text = MEMORY.format(growth=f"{part['growth']:.2f}", factor=many / few)
    title = "## Memory of `lensdask lss predict --workers 2`"
    return "\n\n".join([title, about(part), text, _growing(part["runs"])])


def summaries_section(part: dict[str, Any]) -> str:
    """Return the table of a run of as many summaries as the paper has."""
    title, text = "## Summaries of millions of mosaics", SUMMARIES.format(chunk=part["chunk"], row=part["row"])
    return "\n\n".join([title, about(part), text, _growing(part["runs"])])


def _growing(runs: dict[str, dict[str, Any]]) -> str:
    rows = [
        (
            f"{int(size):,}",
            f"{run['wall_s']:.0f}",
            *(f"{value / 2**20:.0f}" for value in (run["driver_peak"], max(run["worker_peaks"]))),
            *(f"{run[name] / 1e6:.1f}" for name in ("store_bytes", "journal_bytes")),
        )
        for size, run in runs.items()
    ]
    return table(["mosaics", "s", "driver MiB", "worker MiB", "store MB", "journal MB"], rows)
