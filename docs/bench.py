"""Collect what the benchmarks measured into ``docs/bench``, and write its page of tables: the end of `make bench`."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from bench_format import about, table, with_error
from bench_lenses import lens_runs_section, lenses_section
from bench_lss import (
    MOSAIC_HEADER,
    forward_section,
    memory_section,
    mosaic_cells,
    mosaics_section,
    predict_section,
    summaries_section,
)
from bench_model import model_rows

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "bench"

HEAD = """# Speed and memory, measured by `make bench`

A simulated galaxy is four 64 x 64 stamps, one for each applied shear, with noise and renoise of its own. Times are
medians with half the distance between the quartiles; things compared were measured in turns."""

STAGES = """Operations and bytes are counted from the shapes of every array operation, each of which reads its inputs
and writes its outputs once. Beside them is the share of what the device can do: {flops:.0f} GFLOP/s in a float32 matrix
product and {bytes:.1f} GB/s in a copy, measured in the same run. What stays in a cache moves faster than the copy."""

SPEED = """At 100,000 galaxies the run has {running} of the speed of a plain loop in two processes, without Dask,
store and journal; the command, with the start of Python and of the cluster, bootstrap and picture, {whole} of that of
the loop with the start of its processes. Store and journal are in bytes per galaxy, memory is the peak of a process."""

DASK = """FPFS, {galaxies} galaxies in {tasks} tasks of {per_task}, the usual length. Of the time of two workers that
keep sums only, {share} is more than a plain loop in two processes takes. An empty task takes {task} ms from the window
to the journal, {by_task} of the run for as many tasks."""

NETWORK = """The straightforward version has the same layers on the stamp's own pixels, the orbit as a batch, and two
passes backwards through automatic differentiation; then the same on the shipped grid of points. One thread, in turns; a
matrix product has {rate:.0f} GFLOP/s."""

MOSAIC = """{fields} fields of {size} x {size} pixels by the command on two workers, start and end of Python included;
memory is the peak of a worker. All maps are the same to the bit when they are computed lazily, on two threads, and when
the command is killed half way and resumed."""

MODEL = """Nobody ran this: it is the measured throughput, and the measured bytes of a galaxy, times 40 million galaxies
(160 million stamps). The goal for a GPU is less than 2.5 hours with `d4cnn-paper`, or 0.05 ms per stamp.{no_gpu}"""


def _rate(count: float | None, microseconds: float, ceiling: float) -> str:
    """Return millions per unit, and the share of a ceiling that is reached."""
    return "–" if count is None else f"{count / 1e6:.2f} ({count / microseconds * 1e6 / ceiling:.0%})"


def stages_section(part: dict[str, Any]) -> str:
    """Return the tables of stages and of whole chunk functions on one device."""
    ceiling, device = part["ceilings"], part["machine"]["GPU"] or "one CPU thread"
    rows = [
        (
            r["stage"],
            f"{with_error(r['microseconds'], r['spread'], 1)} per {r['unit']}",
            f"{r['ms_per_galaxy']:.3f}",
            _rate(r["flops"], r["microseconds"], ceiling["flops_per_s"]),
            _rate(r["bytes"], r["microseconds"], ceiling["bytes_per_s"]),
        )
        for r in part["rows"]
    ]
    header = ["stage", "µs", "ms per galaxy", "MFLOP (share of rate)", "MB (share of bandwidth)"]
    whole = [
        (c["estimator"], with_error(c["ms_per_galaxy"], c["spread"]), f"{c['stages_ms']:.2f}") for c in part["chunks"]
    ]
    text = STAGES.format(flops=ceiling["flops_per_s"] / 1e9, bytes=ceiling["bytes_per_s"] / 1e9)
    chunks = table(["chunk function", "ms per galaxy", "its stages together"], whole)
    return "\n\n".join([f"## Stages, {device}", about(part), text, table(header, rows), chunks])


def runs_section(parts: list[dict[str, Any]]) -> str:
    """Return the table of one and two workers."""
    rows = [
        (
            part["part"].partition("-")[2],
            f"{part['galaxies']:,} in {part['tasks']} tasks",
            *(f"{np.median(part['seconds'][way]):.1f}" for way in ("1 worker", "2 workers")),
            with_error(*part["speedup"]),
            with_error(*part["speedup_of_processes"]),
        )
        for part in parts
    ]
    header = ["estimator", "galaxies", "1 worker, s", "2 workers, s", "2 workers over 1", "without Dask and store"]
    return "\n\n".join(["## One worker and two", about(parts[0]), table(header, rows)])


def dask_section(part: dict[str, Any]) -> str:
    """Return what Dask takes of a run in tasks of the usual length."""
    share, task = part["share"], part["s_per_empty_task"]
    text = DASK.format(
        **{name: f"{part[name]:,}" for name in ("galaxies", "tasks", "per_task")},
        share=f"{100 * share[0]:.1f} ± {100 * share[1]:.1f} %",
        task=with_error(1e3 * task[0], 1e3 * task[1], 1),
        by_task=f"{100 * part['share_by_task']:.1f} %",
    )
    return "\n\n".join(["## Dask's share", about(part), text])


def survey_section(part: dict[str, Any]) -> str:
    """Return the table of the command at growing sizes: speed and memory."""
    rows = []
    for size, commands in part["commands"].items():
        last, n = commands[-1], int(size)
        memory = [last["driver_peak"], max(last["worker_peaks"])]
        disk = [last["store_bytes"] / n, last["journal_bytes"] / n]
        rows.append(
            (
                f"{n:,}",
                f"{last['run_s']:.1f}",
                f"{n / last['run_s']:,.0f}",
                f"{last['wall_s']:.1f}",
                *(f"{value / 2**20:.0f}" for value in memory),
                *(f"{value:.0f}" for value in disk),
            )
        )
    header = ["galaxies", "run s", "per s", "command s", "driver MiB", "worker MiB", "store B", "journal B"]
    speed = SPEED.format(running=with_error(*part["running"]), whole=with_error(*part["whole"]))
    title = f"## `lensdask shear bias --estimator {part['estimator']} --workers 2`"
    return "\n\n".join([title, about(part), speed, table(header, rows)])


def anacal_section(parts: list[dict[str, Any]]) -> str:
    """Return the table of FPFS beside anacal, without and with renoise."""
    rows = [
        (part["part"].partition("-")[2], name, f"{cost:.1f}", f"{cost / part['microseconds']['lensdask']:.1f}")
        for part in parts
        for name, cost in part["microseconds"].items()
    ]
    text = "The same moments, shapes and responses of 64 x 64 stamps, one thread, least of several CPU times."
    header = ["", "code", "µs per stamp", "over lensdask"]
    return "\n\n".join(["## FPFS beside anacal", about(parts[0]), text, table(header, rows)])


def network_section(part: dict[str, Any]) -> str:
    """Return the table of the shipped network with its response beside straightforward versions of it."""
    rows = [
        (
            row["version"],
            with_error(*row["ms"]),
            f"{row['flops'] / 1e6:,.0f}",
            f"{row['flops_per_s'] / 1e9:.0f}",
            with_error(*row["over_ours"], 1),
        )
        for row in part["rows"]
    ]
    header = ["`d4cnn` with response", "ms per stamp", "MFLOP", "GFLOP/s", "over lensdask"]
    text = NETWORK.format(rate=part["matrix_flops_per_s"] / 1e9)
    return "\n\n".join(["## The network and its response", about(part), text, table(header, rows)])


def render_section(part: dict[str, Any]) -> str:
    """Return the table of the renderers."""
    best = min(part["microseconds"].values())
    rows = [(name, f"{cost:.0f}", f"{cost / best:.1f}") for name, cost in part["microseconds"].items()]
    text = f"{part['galaxies']} galaxies of the mock under four shears, one thread, least of several CPU times."
    return "\n\n".join(["## Renderers", about(part), text, table(["", "µs per stamp", "over the fastest"], rows)])


def large_conv_section(part: dict[str, Any]) -> str:
    """Return the table of the large convolutions of mass maps, by FFT and directly."""
    rows = [
        (f"{row['layer']}, {way}", with_error(*quick), f"{direct:.1f}", f"{ratio:.0f}")
        for row in part["rows"]
        for way, quick, direct, ratio in zip(
            ("forward", "backward"), row["fft_s"], row["direct_s"], row["ratio"], strict=True
        )
    ]
    text = "One layer 24 to 24 channels of 49 x 49 pixels on a map of 512 x 512, CPU time of one thread, in one run."
    header = ["", "s by FFT", "s directly (torch)", "directly over FFT"]
    return "\n\n".join(["## Large convolutions of mass maps", about(part), text, table(header, rows)])


def mosaic_section(part: dict[str, Any]) -> str:
    """Return the table of a mosaic of mass maps."""
    few, many = map(str, part["fields"])
    rows = [
        (
            way,
            f"{runs[many]['wall_s']:.0f}",
            *(f"{max(runs[n]['worker_peaks']) / 2**20:.0f}" for n in (few, many)),
            f"{part['growth'][way]:.2f}",
            f"{part['lazily_s'][way]:.0f}" if way in part["lazily_s"] else "–",
            " + ".join(map(str, part["fields_before_and_after_a_kill"].get(way, "–"))),
        )
        for way, runs in part["ways"].items()
    ]
    text = MOSAIC.format(fields=many, size=part["size"])
    header = ["`lensdask massmap`", f"s, {many} fields", f"MiB, {few} fields", f"MiB, {many} fields", "growth"]
    header += ["s lazily", "fields before and after the kill"]
    return "\n\n".join(["## A mosaic of mass maps", about(part), text, table(header, rows)])


def nbody_section(part: dict[str, Any]) -> str:
    """Return the table of the loops over particles, with numba and without."""
    rows = [
        (name, f"{1e3 * part['compiled_s'][name]:.0f}", f"{1e3 * part['arrays_s'][name]:.0f}", f"{ratio:.1f}")
        for name, ratio in part["ratio"].items()
    ]
    text = (
        f"{part['particles']}³ particles, a mesh of twice as many cells along a side, one thread, the least of several."
    )
    header = ["particles and mesh", "ms with numba", "ms with NumPy", "NumPy over numba"]
    return "\n\n".join(["## Particles", about(part), text, table(header, rows)])


def light_cone_section(part: dict[str, Any]) -> str:
    """Return the line about a light cone."""
    text = (
        f"A box of {part['particles']}³ particles in {part['steps']} steps and {part['tiles']} tiles of a light cone "
        f"through it take {part['cpu_s']:.0f} s of a processor."
    )
    return "\n\n".join(["## A light cone", about(part), text])


def gpu_sections(found: dict[str, dict[str, Any]]) -> list[str]:
    """Return the tables of what `make gpu` ran beside the stages, each with the card it ran on."""
    made = []
    for name, (title, header, cells) in GPU_TABLES.items():
        if name in found:
            part = found[name]
            rows = table(header, [cells(row) for row in part["rows"]])
            made.append("\n\n".join([f"## {title}, {part['machine']['GPU']}", about(part), rows]))
    if "tests.cuda" in found:
        part = found["tests.cuda"]
        broken = part["failures"] + part["errors"]
        text = f"Of {part['tests']} tests on the GPU {broken} failed and {part['skipped']} were skipped."
        made.append("\n\n".join([f"## Tests, {part['machine']['GPU']}", about(part), text]))
    return made


def _bias_cells(row: dict[str, Any]) -> list[str]:
    biases = [f"{1e3 * row[name][0]:+.2f} ± {1e3 * row[name][1]:.2f}" for name in ("m1", "m2")]
    return [row["estimator"], f"{row['galaxies']:,}", f"{row['wall_s']:.1f}", f"{row['per_s']:,.0f}", *biases]


GPU_TABLES: dict[str, tuple[str, list[str], Callable[[dict[str, Any]], list[str]]]] = {
    "resmooth.cuda": (
        "Resmoothing by torch and by CuPy",
        ["library", "PSFs", "µs per stamp", "largest difference from torch over the peak"],
        lambda r: [r["library"], r["psf"], with_error(r["microseconds"], r["spread"]), f"{r['difference']:.1e}"],
    ),
    "bias.cuda": (
        "`shear bias`",
        ["estimator", "galaxies", "run s", "per s", "1000 m1", "1000 m2"],
        _bias_cells,
    ),
    "maps.cuda": (
        "Mass maps",
        ["method", "s per field"],
        lambda r: [r["method"], with_error(r["s_per_field"], r["spread"], 4)],
    ),
    "training.cuda": (
        "One epoch of training",
        ["network", "stamps", "s"],
        lambda r: [r["network"], f"{r['stamps']:,}", f"{r['epoch_s']:.1f}"],
    ),
    "mosaics.cuda": (
        "Mosaics of large-scale structure",
        MOSAIC_HEADER,
        mosaic_cells,
    ),
    "lenses.cuda": (
        "Strong lenses of three classes, 64 x 64 pixels",
        ["stage", "lenses/s", "ms"],
        mosaic_cells,
    ),
}
"""Title, header and cells of a row, by the name of the results."""


def model_section(found: dict[str, dict[str, Any]]) -> str:
    """Return the table of what 40 million galaxies would cost."""
    header = ["estimator, from", "hours here", "core hours", "shapes GB", "journal MB", "tasks", "Dask s"]
    on_gpu = any(name.endswith(".cuda") for name in found)
    text = MODEL.format(no_gpu="" if on_gpu else "\nNo GPU was measured, so no row is of one.")
    return "\n\n".join(["## Model: 40 million galaxies", text, table(header, model_rows(found))])


def page(found: dict[str, dict[str, Any]]) -> str:
    """Return the page of committed results, by the names of their files without suffix."""
    sections = [HEAD]
    sections += [stages_section(found[name]) for name in ("stages.cpu", "stages.cuda") if name in found]
    for prefix, make in (("runs-", runs_section), ("anacal-", anacal_section)):
        parts = [part for name, part in found.items() if name.startswith(prefix)]
        sections += [make(parts)] if parts else []
    whole = {
        "network.cpu": network_section,
        "render.cpu": render_section,
        "dask.cpu": dask_section,
        "survey.cpu": survey_section,
        "large_conv.cpu": large_conv_section,
        "mosaic.cpu": mosaic_section,
        "lss_forward.cpu": forward_section,
        "mosaics.cpu": mosaics_section,
        "predict.cpu": predict_section,
        "predict_memory.cpu": memory_section,
        "summaries.cpu": summaries_section,
        **{f"lenses-{name}.cpu": partial(lenses_section, preset=name) for name in ("physical", "deeplensesim")},
        "lens-runs.cpu": lens_runs_section,
        "nbody_loops.cpu": nbody_section,
        "nbody_light_cone.cpu": light_cone_section,
    }
    for name, make in whole.items():
        sections += [make(found[name])] if name in found else []
    sections += gpu_sections(found)
    return "\n\n".join([*sections, model_section(found)]) + "\n"


def readme_table(found: dict[str, dict[str, Any]]) -> str:
    """Return the digest that the README shows."""
    network, survey, dask = (found[f"{name}.cpu"] for name in ("network", "survey", "dask"))
    last = {int(size): commands[-1] for size, commands in survey["commands"].items()}
    middle, largest = sorted(last)[-2:]
    memory = [f"{max(last[n]['worker_peaks']) / 2**20:.0f} MiB" for n in (middle, largest)]
    rows = [
        ("`d4cnn` with response, a stamp on one core", with_error(*network["rows"][-1]["ms"]) + " ms"),
        (
            "a straightforward version, on the 64 x 64 pixels of the stamp, takes",
            with_error(*network["rows"][0]["over_ours"], 1) + " times as long",
        ),
        (
            f"`shear bias`, FPFS, {largest:,} galaxies, two workers",
            f"{largest / last[largest]['run_s']:,.0f} galaxies/s",
        ),
        (f"at {middle:,}, its speed over that of a plain loop without Dask and store", with_error(*survey["running"])),
        *(
            (f"two workers over one, {name}", with_error(*found[f"runs-{name}.cpu"]["speedup"]))
            for name in ("d4cnn", "fpfs")
        ),
        ("Dask's share of the time", f"{100 * dask['share'][0]:.1f} ± {100 * dask['share'][1]:.1f} %"),
        (f"peak memory of a worker, {middle:,} and {largest:,} galaxies", " and ".join(memory)),
        # A GPU has no core hours.
        *(
            (f"40 million galaxies{' on these two cores' * (row[2] != '–')}, {row[0]} (model)", f"{row[1]} h")
            for row in model_rows(found)
        ),
    ]
    return table(["", "measured"], rows)


def committed() -> dict[str, dict[str, Any]]:
    """Return the committed results, of this machine and others."""
    return {file.stem: json.loads(file.read_text()) for file in sorted(RESULTS.glob("*.json"))}


if __name__ == "__main__":
    RESULTS.mkdir(exist_ok=True)
    for file in (ROOT / "build" / "bench").glob("*.json"):
        shutil.copy(file, RESULTS)
    (RESULTS / "README.md").write_text(page(committed()))
