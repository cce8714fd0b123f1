"""Run every experiment at size small, and collect results, pictures and tables to commit: `make reproduce`."""

import json
import math
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lensdask.compute import RunOptions
from lensdask.compute.results import number
from lensdask.data import load_card
from lensdask.massmap.method import SHIPPED_WEIGHTS
from lensdask.reproduce import EXPERIMENTS, Job, run_experiment
from lensdask.reproduce.experiment import identity
from lensdask.reproduce.tables import markdown

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


MAPS_IN_README = (
    ("RMSE of pixels over Wiener's", "cha.figure3", "RMSE / RMSE of Wiener"),
    ("the same, a fifth of the field behind masks", "cha.figure9", "RMSE / RMSE of Wiener"),
    ("slope of pixels, total least squares", "cha.figure3", "slope by total least squares"),
    (
        "largest departure of the power from the truth, l < 500",
        "miu2net.power",
        "largest |power ratio - 1| below l = 500",
    ),
    ("share of the height of peaks above 0.1", "miu2net.dynamic_range", "share of the height above 0.1, at the peak"),
    ("slope of cluster masses within 1 Mpc", "cha.figure6", "slope of masses"),
    ("mass of the planted cluster, Msun", "cha.figure10", "M200 by an NFW fit"),
    ("filaments in a field with that cluster", "cha.figure10", "filaments in a map"),
    ("mean of a field without mass", "cha.figure8", "mean of a map"),
)
"""Rows of the table of mass maps: what to call it, experiment, quantity."""

METHODS = ("truth", "Wiener", "KS93 1.6'", "KS93", "H21", "Cha", "MIU²Net")
"""Its columns, by the names in the experiments."""

CARDS = {"KS93 1.6'": ("h21", "ks93")} | {
    m: (n, "network") for m, n in (("H21", "h21"), ("Cha", "cha"), ("MIU²Net", "miu2net"))
}
"""Columns whose first row was measured on other fields too: the network whose card tells, and its name there."""


GAINS_IN_README = ("figure of merit", "omega_m", "s8", "a_ia", "eta_ia", "b_g", "r_g", "eta_b")
"""Rows of the table of large-scale structure: what is measured from both probes."""

GAINS = ("hybrid over signed", "hybrid over modulus", "signed spectra over modulus")
"""Its columns, beside the published gains."""


LENSES_IN_README = {"accuracy": "accuracy", "macro AUC": "macro AUC", "NLL": "NLL [nat]", "calibration error": "ECE"}
"""Columns of the table of strong lenses, each with its 95 % interval, by their quantities."""

SUBSTRUCTURE_IN_README = {"CDM": "physical: CDM", "CDM as coded": "physical: CDM as coded"} | {
    f"a vortex of {mass}": f"physical: vortex of {mass}" for mass in ("3e10", "3e9")
}
"""Whose signal-to-noise ratio the README tells: what to call it, series."""


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
        lines += _digest(name, _result(f"{paper}{name}"), picked)
    return "\n".join(lines)


def _result(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return result


def methods_table() -> str:
    """Return the table of the README about mass maps: a column for each method, published values in brackets."""
    heads = [{"KS93": "KS93 2.5'"}.get(method, method) for method in METHODS]
    lines = [f"| | {' | '.join(heads)} | N |", f"|{'---|' * (len(METHODS) + 2)}"]
    for what, name, quantity in MAPS_IN_README:
        rows = {
            r.get("series"): r for r in _result(name)["rows"] if r["quantity"] == quantity and "x" not in r and "n" in r
        }
        if (name, quantity) == MAPS_IN_README[0][1:]:
            rows |= {method: _with_fields_of_card(rows[method], *CARDS[method]) for method in CARDS}
        cells = [_cell(rows[method]) if method in rows else "" for method in METHODS]
        counts = sorted({r["n"] for r in rows.values()})
        lines.append(f"| {what} | {' | '.join(cells)} | {', '.join(f'{n:,}' for n in counts)} |")
    return "\n".join(lines)


def _with_fields_of_card(row: dict[str, Any], network: str, label: str) -> dict[str, Any]:
    """Return the mean of a ratio over the fields of an experiment and those of which a card tells."""
    measured = load_card(SHIPPED_WEIGHTS[network])["measured"]
    ratio, n, other = measured["rmse / wiener"][label], row["n"], measured["fields"]
    mean = (n * row["measured"] + other * ratio["value"]) / (n + other)
    error = math.hypot(n * row["error"], other * ratio["error"]) / (n + other)
    return row | {"measured": mean, "error": error, "n": n + other}


def _cell(row: dict[str, Any]) -> str:
    """Return a value with two digits of its error, and the published one."""
    value, error = row["measured"], row["error"]
    exponent = math.floor(math.log10(abs(value))) if value else 0
    power = exponent if abs(exponent) > 2 else 0
    digits = max(0, 1 - math.floor(math.log10(error / 10**power)))
    text = f"{value / 10**power:.{digits}f} ± {error / 10**power:.{digits}f}"
    text = f"({text})e{power}" if power else text
    return text if row["published"] is None else f"{text} [{row['published']:g}]"


def gains_table() -> str:
    """Return the table of the README about large-scale structure: gains in the widths of posteriors of both probes."""
    rows = {(row["series"], row["quantity"]): row for row in _result("deeplss.table2")["rows"]}
    lines = [f"| | {' | '.join(GAINS)} | published, CNN over PSD |", "|---|---|---|---|---|"]
    for name in GAINS_IN_README:
        found = [rows[f"combined, large scales: {gain} spectra", f"gain in {name}"] for gain in GAINS]
        cells = [f"{row['measured']:.2f} ± {row['error']:.2f}" for row in found]
        lines.append(f"| {name} | {' | '.join(cells)} | {found[0]['published']:g} |")
    return "\n".join(lines)


def lenses_table(result: dict[str, Any]) -> str:
    """Return the table of the README about strong lenses: all networks by images of each class, at equal compute.

    Parameters
    ----------
    result
        Of ``enn.learning_curve``.
    """
    rows = {(r.get("series"), r["quantity"], r.get("x")): r for r in result["rows"]}
    places = [key for key in rows if key[1] == "accuracy" and "trainings" in rows[key] and "network" not in rows[key]]
    heads = ["images of a class", "trainings", "network", *LENSES_IN_README.values(), "ECE by chance", "CPU time"]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for series, quantity, x in places:
        network, _, how = series.rpartition(", ")
        if how == "equal compute":
            chance, seconds = (
                rows[series, name, x]["measured"]
                for name in ("calibration error of perfect calibration", "CPU time of a training")
            )
            cells = [f"{x:,}", str(rows[series, quantity, x]["trainings"]), network]
            cells += [_interval(rows[series, name, x]) for name in LENSES_IN_README]
            lines.append(f"| {' | '.join([*cells, f'{chance:.3f}', f'{seconds:.0f} s'])} |")
    return "\n".join(lines)


def _interval(row: dict[str, Any]) -> str:
    """Return a value with the ends of its 95 % interval."""
    # Of few lenses some resampling may be certain of what is wrong.
    low, high = ("–" if end is None else f"{end:.3f}" for end in (row["low"], row["high"]))
    return f"{row['measured']:.3f} ({low} to {high})"


def lenses_text(curve: dict[str, Any], information: dict[str, Any], rotation: dict[str, Any]) -> str:
    """Return what the README tells of the study of strong lenses, in lines of 128 characters.

    Parameters
    ----------
    curve, information, rotation
        Results of ``enn.learning_curve``, ``enn.information`` and ``enn.rotation``.
    """
    parts = _gains(curve), _signal_to_noise(information), _of_cdm(curve), _turned(rotation)
    return "\n".join(textwrap.wrap(" ".join(parts), 128))


def _gains(curve: dict[str, Any]) -> str:
    """Return by how much networks with symmetry are ahead, which are chosen on other lenses, and with equal inputs."""
    gains = [r for r in curve["rows"] if r["quantity"] == "accuracy" and "network" in r]
    parts = []
    for start in dict.fromkeys(r["series"] for r in gains if r["series"].endswith("equal compute")):
        pair = start.removesuffix(", equal compute")
        sizes = [f"{_interval(r)} from {r['x']:,} images" for r in gains if r["series"] == start]
        parts.append(f"{pair}: {', '.join(sizes)}")
    return f"Differences of accuracy, with intervals of lenses and trainings resampled together: {'; '.join(parts)}."


def _signal_to_noise(information: dict[str, Any]) -> str:
    """Return the median signal-to-noise ratios of substructure on both surveys."""
    rows = {(r.get("series"), r["quantity"]): r["measured"] for r in information["rows"] if "x" not in r}
    ratios = []
    for name, series in SUBSTRUCTURE_IN_README.items():
        euclid, hst = (rows[series, f"median S/N of substructure, {survey}"] for survey in ("euclid", "hst"))
        ratios.append(f"{euclid:.2g} and {hst:.2g} for {name}".replace("e+02", "e2"))
    return f"The median S/N of the substructure on Euclid and HST is {', '.join(ratios)} (`enn.information`)."


def _of_cdm(curve: dict[str, Any]) -> str:
    """Return what a network that learned from subhaloes of CDM makes of them."""
    rows = {r["quantity"]: r for r in curve["rows"] if r.get("series") == "lens-net, subhaloes of CDM"}
    none, vortex = (_interval(rows[f"AUC of {name} against none"]) for name in ("CDM", "a vortex"))
    return (
        "Trained on subhaloes of CDM as Euclid sees them, a lens-net tells lenses with them from those without with an "
        f"AUC of {none}, 0.5 being chance, and those with a vortex with {vortex}."
    )


def _turned(rotation: dict[str, Any]) -> str:
    """Return what networks make of lenses that all point one way, and of the same ones turned."""
    rows = {(r["series"], r["x"]): r for r in rotation["rows"] if r["quantity"] == "accuracy"}
    found = [
        f"{series} {_interval(rows[series, 0.0])} and {_interval(rows[series, 45.0])}"
        for series in dict.fromkeys(series for series, _ in rows)
    ]
    return (
        "Trained on images without noise of the published simulation, whose lenses all point one way, 900 of each "
        "class, networks have these accuracies on such lenses, and on lenses turned by 45 degrees (`enn.table1`, "
        f"`enn.rotation`): {', '.join(found)}."
    )


def readme_tables() -> list[str]:
    """Return the tables of D4CNN, mass maps, large-scale structure and strong lenses, and the text about these."""
    curve, information, rotation = (_result(f"enn.{name}") for name in ("learning_curve", "information", "rotation"))
    tables = [readme_table(IN_README, "d4cnn."), methods_table(), gains_table()]
    return [*tables, lenses_table(curve), lenses_text(curve, information, rotation)]


def collect(build: Path, names: list[str]) -> None:
    """Run experiments, and copy what they found: resume interrupted ones, repeat those whose networks changed."""
    for name in names:
        marker = build / name / "experiment.json"
        known = identity(EXPERIMENTS[name], Job(build / name, "small", study=build / "study"))
        is_same = not marker.exists() or json.loads(marker.read_text()) == known
        options = RunOptions(cluster="local", if_exists="resume" if is_same else "overwrite")
        run_experiment(name, build / name, study=build / "study", options=options)
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
