"""Run every experiment at size small, and collect results, pictures and tables to commit: `make reproduce`."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lensdask.compute import RunOptions
from lensdask.reproduce import EXPERIMENTS, Job, run_experiment
from lensdask.reproduce.experiment import identity
from lensdask.reproduce.tables import markdown
from lensdask.terminal import number

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "lensdask" / "reproduce" / "results"
HEAD = "# Figures and tables of the papers, measured by `make reproduce`\n"

IN_README = {
    "figure3": [
        (None, "largest sum of two galaxies 90 degrees apart"),
        (None, "largest residual"),
        ("d4cnn", "largest sum of two galaxies 90 degrees apart"),
        ("d4cnn", "largest residual"),
    ],
    "figure7": [(None, "largest sum of two galaxies 90 degrees apart")],
    "figure4": [(series, "largest |m|") for series in ("image noise", "PSF ellipticity", "kernel FWHM (arcsec)")],
    "figure5": [(f"smooth cut, {kind} selection response", "largest |m|") for kind in ("with", "without")],
    "figure6": [
        (series, "ratio of shape noise at noise 0.594")
        for series in ("D4CNN / best FPFS", "D4CNN / FPFS", "D4CNN (FPFS labels) / FPFS")
    ],
    "figure8": [("D4CNN (GELU)", "A of e1"), ("D4CNN (GELU)", "Q of e2"), ("CNN", "Q of e2")],
    "table2": [("D4CNN (GELU)", "m1"), ("D4CNN (ReLU)", "m1"), ("CNN", "m1"), ("CNN", "c1")],
    "table3": [(f"{count} training stamps", "shape_noise_1") for count in (1000, 5000, 10000, 20000)],
    "variance": [("D4CNN", f"error of m1 with 1e5 galaxies, {kind} noise") for kind in ("independent", "exchanged")],
    "speed": [("D4CNN", "measurement of a galaxy on one CPU core")],
}
"""Series and quantities that the README shows."""


MAPS_IN_README = {
    "cha.figure3": [(method, "RMSE / RMSE of Wiener") for method in ("KS93", "H21", "Cha")]
    + [(method, "slope by total least squares") for method in ("Wiener", "H21", "Cha")],
    "cha.figure6": [(method, "slope of masses") for method in ("Wiener", "H21", "Cha")],
    "cha.figure7": [
        (series, "completeness above 4.2e+13 Msun")
        for method in ("Wiener", "Cha")
        for series in (method, f"{method}, by chance")
    ],
    "cha.figure8": [("Cha", "mean of a map"), ("Cha", "mode of a map")],
    "cha.figure9": [("Cha", "RMSE / RMSE of Wiener")],
    "cha.figure10": [(method, "M200 by an NFW fit") for method in ("truth", "Wiener", "H21", "Cha")]
    + [(method, "filaments in a map") for method in ("truth", "Wiener", "Cha")],
    "miu2net.distribution": [
        ("MIU²Net", "RMSE / RMSE of Wiener"),
        ("MIU²Net", "RMSE / RMSE of Wiener, smoothed by 1'"),
    ],
    "miu2net.dynamic_range": [
        (method, "share of the height above 0.1, at the peak") for method in ("Wiener", "MIU²Net")
    ],
    "miu2net.power": [(method, "largest |power ratio - 1| below l = 500") for method in ("Wiener", "MIU²Net")],
}
"""The same of mass maps."""


def _digest(name: str, result: dict[str, Any], picked: list[tuple[str | None, str]]) -> Iterator[str]:
    """Yield the lines of one experiment in a table of the README."""
    rows = {(r.get("series"), r["quantity"]): r for r in result["rows"] if "x" not in r}
    for series, quantity in picked:
        r = rows[series, quantity]
        what = f"{series}: {quantity}" if series else quantity
        unit = "" if r["unit"] == "1" else f" {r['unit']}"
        published = number(r["published"], r["published_error"])
        cells = (name, what.replace("|", "\\|"), number(r["measured"], r["error"]) + unit, published)
        yield f"| {' | '.join(cells)} | {r.get('n', result['run']['objects']):,} |"


def readme_table(shown: dict[str, list[tuple[str | None, str]]], paper: str = "") -> str:
    """Return a table of the README: what is shown of each experiment, without the name of the paper before it."""
    lines = ["| | | measured | published | N |", "|---|---|---|---|---|"]
    for name, picked in shown.items():
        lines += _digest(name, json.loads((RESULTS / f"{paper}{name}.json").read_text()), picked)
    return "\n".join(lines)


def readme_tables() -> list[str]:
    """Return both tables: of the figures of D4CNN, and of those of mass maps."""
    return [readme_table(IN_README, "d4cnn."), readme_table(MAPS_IN_README)]


def collect(build: Path, names: list[str]) -> None:
    """Run experiments, and copy what they found: resume interrupted ones, repeat those whose networks changed."""
    for name in names:
        marker = build / name / "experiment.json"
        known = identity(EXPERIMENTS[name], Job(build / name, "small"))
        is_same = not marker.exists() or json.loads(marker.read_text()) == known
        options = RunOptions(cluster="local", if_exists="resume" if is_same else "overwrite")
        run_experiment(name, build / name, options=options)
        shutil.copy(build / name / "result.json", RESULTS / f"{name}.json")
        shutil.copy(build / name / f"{name}.png", ROOT / "docs" / "reproduce" / f"{name}.png")


def page() -> str:
    """Return the page of all committed results."""
    found = [RESULTS / f"{name}.json" for name in EXPERIMENTS]
    sections = [markdown(json.loads(file.read_text())) for file in found if file.exists()]
    return "\n".join([HEAD, *sections])


if __name__ == "__main__":
    collect(ROOT / "build" / "reproduce", sys.argv[1:] or list(EXPERIMENTS))
    (RESULTS / "README.md").write_text(page())
