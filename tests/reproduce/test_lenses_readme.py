"""What the README says of strong lenses is what the results say."""

import importlib.util
from pathlib import Path

import pytest

from lensdask.reproduce.enn.plans import LABELS


@pytest.fixture(scope="module")
def script():
    path = Path(__file__).parents[2] / "docs" / "reproduce.py"
    spec = importlib.util.spec_from_file_location("reproduce_script", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row_of(result, series, quantity):
    (found,) = [row for row in result["rows"] if (row.get("series"), row["quantity"]) == (series, quantity)]
    return found


def interval(row):
    return f"{row['measured']:.3f} ({row['low']:.3f} to {row['high']:.3f})"


def test_table_has_every_network_at_equal_compute(results, script):
    result, _ = results("enn.learning_curve")
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in script.lenses_table(result).splitlines()]
    heads, _, *body = table
    named = [row["series"] for row in result["rows"] if row["quantity"] == "trainable parameters"]
    networks = [series.partition(",")[0] for series in named if series.endswith(", equal compute")]
    assert [line[2] for line in body] == networks
    assert set(networks) <= set(LABELS.values())
    for line in body:
        series = f"{line[2]}, equal compute"
        about = dict(zip(heads, line, strict=True))
        assert about["accuracy"] == interval(row_of(result, series, "accuracy"))
        assert about["ECE"] == interval(row_of(result, series, "calibration error"))
        chance = row_of(result, series, "calibration error of perfect calibration")["measured"]
        assert about["ECE by chance"] == f"{chance:.3f}"
        assert about["trainings"] == str(row_of(result, series, "accuracy")["trainings"])


def test_text_has_gains_and_signal_to_noise(results, script):
    names = ("learning_curve", "information", "rotation")
    curve, information, rotation = (results(f"enn.{name}")[0] for name in names)
    text = script.lenses_text(curve, information, rotation)
    assert max(map(len, text.splitlines())) <= 128
    euclid, hst = (
        row_of(information, "physical: CDM", f"median S/N of substructure, {survey}")["measured"]
        for survey in ("euclid", "hst")
    )
    gain = row_of(curve, "best equivariant - ResNet50, equal compute", "accuracy")
    auc = row_of(curve, "lens-net, subhaloes of CDM", "AUC of CDM against none")
    turned = {r["x"]: r for r in rotation["rows"] if (r["series"], r["quantity"]) == ("ResNet50", "accuracy")}
    for expected in (
        f"ResNet50 {interval(turned[0.0])} and {interval(turned[45.0])}, ",
        f"{euclid:.2g} and {hst:.2g} for CDM, ",
        f"best equivariant - ResNet50: {interval(gain)} from {gain['x']} images",
        f"AUC of {interval(auc)}",
    ):
        assert expected in " ".join(text.split())
