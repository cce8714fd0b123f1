"""The numbers in the README are those of the committed results."""

import importlib.util
import json
from pathlib import Path

from lensdask.compute.results import number

ROOT = Path(__file__).parent.parent
PROBES = ("lensing", "clustering")
QUANTITIES = {
    "m1": "m₁",
    "m2": "m₂",
    "c1": "c₁",
    "c2": "c₂",
    "shape_noise_1": "shape noise 1",
    "shape_noise_2": "shape noise 2",
}


def report():
    return json.loads((ROOT / "docs" / "demo.json").read_text())


def table(results):
    """Return the README's table of a demo's results."""
    by_test = {r["experiment"]: r for r in results}
    lines = ["| | D4CNN | published D4CNN | FPFS |", "|---|---|---|---|"]
    for label in ("year-10 noise", "noiseless"):
        network, fpfs = by_test[f"d4cnn, {label}"], by_test[f"fpfs, {label}"]
        lines.append(f"| **{label}**, {network['size']:,} galaxies | | | |")
        for first, second in zip(network["rows"], fpfs["rows"], strict=True):
            cells = [
                number(first["measured"], first["error"]),
                number(first["published"], first["published_error"]),
                number(second["measured"], second["error"]),
            ]
            lines.append(f"| {QUANTITIES[first['quantity']]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def costs(milliseconds):
    return "\n".join(
        f"| {name}, shape, flux and responses of one 64 × 64 stamp | {milliseconds[key]:.3f} ms |"
        for name, key in (("D4CNN", "d4cnn"), ("FPFS", "fpfs"))
    )


def reproduced():
    """Return the tables of reproduced figures and tables, by the script that collects them."""
    spec = importlib.util.spec_from_file_location("reproduce_script", ROOT / "docs" / "reproduce.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.readme_tables()


def test_readme_shows_the_committed_results():
    readme, found = (ROOT / "README.md").read_text(), report()
    for expected in (table(found["results"]), costs(found["ms_per_galaxy"]), *reproduced()):
        assert expected in readme, f"README should have:\n{expected}"


def test_readme_shows_the_committed_cosmos_field():
    rows = json.loads((ROOT / "docs" / "cosmos" / "result.json").read_text())["rows"]
    by_name = {(row.get("series"), row["quantity"]): row for row in rows}
    wiener = {quantity: row["measured"] for (series, quantity), row in by_name.items() if series == "wiener:cosmos"}
    ten = "of the ten most massive groups with a peak"
    chance = by_name["wiener:cosmos", f"{ten}, rotated shear: mean"]
    here = by_name[None, "ten most massive groups on the footprint"]["measured"]
    readme = " ".join((ROOT / "README.md").read_text().split())
    for expected in (
        f"{by_name[None, 'galaxies']['measured']:,.0f} galaxies of the HST/COSMOS field",
        f"S/N {wiener['highest S/N of the E mode']:.1f} (Wiener",
        f"{wiener['highest S/N of the B mode']:.1f} in the B mode",
        f"{wiener['highest S/N with g2 reversed']:.1f} with g2 reversed)",
        f"{wiener[ten]:.0f} of the ten most massive X-ray groups, of which {here:.0f} are on the footprint",
        f"against {chance['measured']:.2f} ± {chance['error']:.2f} with randomly turned shear",
        f"and {wiener[f'{ten} if they were anywhere on the footprint']:.1f} for groups placed anywhere",
    ):
        assert expected in readme


def measured(name):
    """Return the numbers of a committed result by their series and quantity, without those along a curve."""
    content = json.loads((ROOT / "lensdask" / "reproduce" / "results" / f"{name}.json").read_text())
    return {(row.get("series"), row["quantity"]): row for row in content["rows"] if "x" not in row}


def with_error(row, digits=2):
    return f"{row['measured']:.{digits}f} ± {row['error']:.{digits}f}"


def test_readme_tells_what_the_committed_study_of_deeplss_found():
    gains, losses, novelty = (measured(f"deeplss.{name}") for name in ("table2", "figure10", "novelty"))
    likelihoods = measured("deeplss.figure9")
    alone = [gains[f"both probes over {probe} alone, large scales", "gain in figure of merit"] for probe in PROBES]
    losses_on_test = {
        series: row["measured"] for (series, what), row in losses.items() if what == "loss on test mosaics"
    }
    ours = losses_on_test.pop("combined: signed spectra")
    others = [loss for name, loss in losses_on_test.items() if "hybrid" not in name]
    covered = {key: row for key, row in likelihoods.items() if key[1].startswith("coverage ")}
    for (_, what), row in covered.items():
        assert abs(row["measured"] - float(what.split()[1].rstrip("%")) / 100) < 3 * row["error"]
    flagged = [
        100 * novelty[kind, "share of mocks with p < 0.01"]["measured"]
        for kind in ("shape noise x 1.3", "N-body skies")
    ]
    readme = " ".join((ROOT / "README.md").read_text().split())
    gain = losses["hybrid over signed spectra", "gain in log-likelihood on test mosaics"]
    for expected in (
        f"of the posteriors of {alone[0]['n']} fiducial mocks",
        f"by {with_error(gain)}, but {sum(loss < ours for loss in others)} of {len(others)} other networks of spectra",
        f"Both probes have {with_error(alone[0])} and {with_error(alone[1])} times the figure of merit",
        f"68 and 95 % intervals of all parameters cover {next(iter(covered.values()))['n']} mocks",
        f"shape noise {flagged[0]:.0f} % are flagged, of N-body skies {flagged[1]:.1f} %",
    ):
        assert expected in readme
