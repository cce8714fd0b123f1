"""Sections of the page of benchmarks about strong lenses."""

from typing import Any

import numpy as np
from bench_format import about, table
from bench_lss import workers_section

LENSTRONOMY = """Images of 64 x 64 pixels with the PSF of Euclid, noiseless, CPU time of one thread; lenstronomy with
its models made for each lens and without. It has no line of mass: its vortices are 100 points, ours of the preset
physical a line."""

RUNS = """`lensdask stronglens simulate` with its defaults: {samples} images of 64 x 64 pixels with noise in {tasks}
tasks, beside the same tasks without Dask, store and journal. Two workers are {speedup} times as fast as one, two such
processes {limit} times as fast as one; the ratio of the two is {of_limit}. Of the time of two workers {share} is more
than the two processes take. 105,000 images, 35,000 of each class, would take two workers {whole} minutes."""


def lenses_section(part: dict[str, Any], preset: str) -> str:
    """Return the table of the cost of images beside lenstronomy."""
    rows = [
        (name, *(f"{cost[key]:.2f}" for key in cost), f"{cost['lenstronomy, model and image'] / cost['lensdask']:.1f}")
        for name, cost in part["milliseconds"].items()
    ]
    heads = ["class", *(f"{key}, ms" for key in next(iter(part["milliseconds"].values()))), "ratio"]
    return "\n\n".join([f"## Images of strong lenses, preset {preset}", about(part), LENSTRONOMY, table(heads, rows)])


def lens_runs_section(part: dict[str, Any]) -> str:
    """Return the table of one and two workers that simulate lenses."""
    minutes = 105_000 / part["samples"] * float(np.median(part["seconds"]["2 workers"])) / 60
    text = RUNS.replace("{whole}", f"{minutes:.1f}")
    return workers_section(part, "## `lensdask stronglens simulate`", text, "images")
