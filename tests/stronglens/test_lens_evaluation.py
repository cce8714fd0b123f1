"""Predictions of lenses held against the truth: known answers, intervals, refused input."""

import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from ring_images import ring_lenses, write_rings

from lensdask.compute import RunOptions
from lensdask.data import LENS_PREDICTIONS, common_attributes, write
from lensdask.errors import InputError
from lensdask.stronglens import evaluate
from lensdask.stronglens.evaluation.evaluate import ResampleLenses
from lensdask.stronglens.evaluation.metrics import accuracy, calibration_error, macro_auc, mean_nll
from lensdask.stronglens.evaluation.scores import Judged, reliability, roc_curve, score_names, scores

QUIET = RunOptions(show_progress=False)
COUNT = 300


def predictions(lenses, task="classify", seed=0, **attributes):
    """Return predictions that know something: calibrated probabilities, or masses to 0.2 dex."""
    random, count = np.random.default_rng(seed), lenses.sizes["lens"]
    coords = {"lens": lenses["lens"].values}
    if task == "classify":
        logits = random.normal(size=(count, 3)) + 1.5 * np.eye(3)[lenses["label"].values]
        probability = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        values = {"probability": (("lens", "class"), probability.astype(np.float32))}
        coords["class"] = np.array(["none", "cdm", "vortex"])
    else:
        mass = np.nan_to_num(lenses["log10_mass"].values, nan=-23) + random.normal(0, 0.2, count)
        values = {"log10_mass": mass, "log10_mass_error": np.full(count, 0.2)}
        values = {name: ("lens", value.astype(np.float32)) for name, value in values.items()}
    own = {"pixel_scale": 0.1, "network": "toy", "network_sha256": "0", "task": task, "calibration": 1.0}
    own |= {"lenses_hash": lenses.attrs["configuration_hash"], "trained_on": []} | attributes
    return xr.Dataset(values, coords, common_attributes(LENS_PREDICTIONS, {"seed": seed}) | own)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with lenses and predictions of their classes and masses."""
    folder = tmp_path_factory.mktemp("evaluated")
    write_rings(folder / "lenses.zarr", COUNT, chunk=100)
    for task in ("classify", "mass"):
        write(predictions(ring_lenses(COUNT), task), folder / f"{task}.zarr")
    return folder


def evaluated(folder, out, task="classify", options=QUIET, resamplings=50, **more):
    return evaluate(
        out, folder / f"{task}.zarr", folder / "lenses.zarr", resamplings=resamplings, options=options, **more
    )


def numbers(result):
    return {(row["quantity"], row["series"]): row for row in result["rows"] if "x" not in row}


def test_classes(folder, tmp_path):
    result = evaluated(folder, tmp_path / "out")
    assert result == json.loads((tmp_path / "out" / "result.json").read_text())
    lenses = ring_lenses(COUNT)
    probability = predictions(lenses)["probability"].values.astype(np.float64)
    label, found = lenses["label"].values.astype(np.int64), numbers(result)
    for name, function in (
        ("accuracy", accuracy),
        ("macro AUC", macro_auc),
        ("NLL", mean_nll),
        ("ECE", calibration_error),
    ):
        one = found[name, "all lenses"]
        assert one["measured"] == pytest.approx(function(probability, label))
        assert one["low"] < one["high"]
        if name != "ECE":
            assert one["low"] < one["measured"] < one["high"]
    expected = (accuracy(probability, label) * (1 - accuracy(probability, label)) / COUNT) ** 0.5
    assert found["accuracy", "all lenses"]["error"] == pytest.approx(expected, rel=0.4)
    assert 0 < found["ECE of perfect calibration", "all lenses"]["measured"] < 0.2
    called = [found[f"called {name}", "cdm"]["measured"] for name in ("none", "cdm", "vortex")]
    taken = probability.argmax(1)[label == 1]
    np.testing.assert_allclose(called, [(taken == k).mean() for k in range(3)])
    areas = [found["AUC", name]["measured"] for name in ("none", "cdm", "vortex")]
    assert np.mean(areas) == pytest.approx(found["macro AUC", "all lenses"]["measured"])
    # The curve is that of the area: trapezoids between its points are close to it.
    curve = np.array([[r["x"], r["measured"]] for r in result["rows"] if r["quantity"] == "true positives"])
    assert np.trapezoid(curve[:50, 1], curve[:50, 0]) == pytest.approx(areas[0], abs=0.02)


def test_masses(folder, tmp_path):
    result, found = (value := evaluated(folder, tmp_path / "out", "mass")), numbers(value)
    assert result["size"] == COUNT // 3
    whole = found["RMSE", "all lenses"]
    assert whole["measured"] == pytest.approx(0.2, rel=0.3)
    assert whole["low"] < whole["measured"] < whole["high"]
    assert found["RMSE of a constant", "all lenses"]["measured"] == pytest.approx(0.577, rel=0.15)
    assert found["MAE of a constant", "all lenses"]["measured"] == pytest.approx(0.5, rel=0.15)
    assert found["share within 1 sigma", "all lenses"]["measured"] == pytest.approx(0.683, abs=0.15)
    edges = [found["MAE of a constant", name]["measured"] for name in ("below -23.5", "-23.5 to -23")]
    np.testing.assert_allclose(edges, [0.75, 0.25], atol=0.1)


def test_resamplings_do_not_depend_on_the_run(folder, tmp_path):
    few = evaluated(folder, tmp_path / "a", resamplings=30)
    threads = evaluated(folder, tmp_path / "b", options=replace(QUIET, cluster="threads", workers=2), resamplings=30)
    assert few["rows"] == threads["rows"]
    assert evaluated(folder, tmp_path / "c", resamplings=30, seed=1)["rows"] != few["rows"]
    with pytest.raises(InputError, match="of an earlier run"):
        evaluated(folder, tmp_path / "a", resamplings=30)
    again = evaluated(folder, tmp_path / "a", options=replace(QUIET, if_exists="resume"), resamplings=30)
    assert again == few
    other = evaluated(folder, tmp_path / "a", options=replace(QUIET, if_exists="overwrite"), resamplings=20)
    assert other["run"]["objects"] == 20


def test_a_part_of_a_run_goes_on(folder, tmp_path, monkeypatch):
    whole = ResampleLenses.__call__

    def stop(self, start, stop, device):
        if start:
            raise KeyboardInterrupt
        return whole(self, start, stop, device)

    with monkeypatch.context() as patch:
        patch.setattr(ResampleLenses, "__call__", stop)
        with pytest.raises(KeyboardInterrupt):
            evaluated(folder, tmp_path / "a", resamplings=150)
    resumed = evaluated(folder, tmp_path / "a", resamplings=150, options=replace(QUIET, if_exists="resume"))
    assert resumed["rows"] == evaluated(folder, tmp_path / "b", resamplings=150)["rows"]
    assert resumed["run"]["objects"] == 50


def test_a_class_without_lenses_is_told_of(tmp_path):
    lenses = ring_lenses(60)
    lenses = lenses.isel(lens=np.flatnonzero(lenses["label"].values != 1))
    write(lenses, tmp_path / "lenses.zarr")
    write(predictions(lenses), tmp_path / "classify.zarr")
    told = []
    found = numbers(evaluated(tmp_path, tmp_path / "out", resamplings=5, warn=told.append))
    assert told == ["no lens is cdm: areas under curves are those of the other classes"]
    assert found["called cdm", "cdm"]["measured"] is None
    areas = [found["AUC", name]["measured"] for name in ("none", "cdm", "vortex")]
    assert areas[1] is None
    assert found["macro AUC", "all lenses"]["measured"] == pytest.approx((areas[0] + areas[2]) / 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.isel(lens=slice(5, None)), "ids of other lenses; expected those of the truth"),
        (lambda p: p.assign_attrs(lenses_hash="other"), "made of other lenses"),
        (lambda p: p.assign_attrs(trained_on=[p.attrs["lenses_hash"]]), "by a network that learned from these lenses"),
        (lambda p: p.assign(probability=p.probability.where(p.lens != 7)), "that of lens 7 is not finite"),
        (lambda _: ring_lenses(COUNT), "a store of lenses; expected one of lens_predictions"),
    ],
)
def test_predictions_that_are_refused(folder, tmp_path, change, message):
    write(change(predictions(ring_lenses(COUNT))), tmp_path / "p.zarr")
    with pytest.raises(InputError, match=message):
        evaluate(tmp_path / "out", tmp_path / "p.zarr", folder / "lenses.zarr", options=QUIET)
    assert not (tmp_path / "out").exists()


def test_what_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="a store of lens_predictions; expected one of lenses"):
        evaluate(tmp_path / "out", folder / "lenses.zarr", folder / "classify.zarr", options=QUIET)
    with pytest.raises(InputError, match="not a directory for results"):
        evaluate(folder / "lenses.zarr", folder / "classify.zarr", folder / "lenses.zarr", options=QUIET)
    with pytest.raises(InputError, match="resamplings: 1"):
        evaluated(folder, tmp_path / "out", resamplings=1)
    few = ring_lenses(9)
    write(few, tmp_path / "lenses.zarr")
    write(predictions(few), tmp_path / "classify.zarr")
    with pytest.raises(InputError, match="lenses: 9; expected at least 10"):
        evaluated(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_scores_of_a_perfect_network():
    label = np.arange(30) % 3
    found = dict(zip(score_names("classify"), scores("classify", Judged(np.eye(3)[label], label)), strict=True))
    values = {f"{name.quantity} {name.series}": value for name, value in found.items()}
    assert (values["accuracy all lenses"], values["macro AUC all lenses"], values["NLL all lenses"]) == (1, 1, 0)
    assert (values["called cdm cdm"], values["called none cdm"], values["ECE all lenses"]) == (1, 0, 0)
    np.testing.assert_array_equal(reliability(np.eye(3)[label], label), [[1, 1, 0]] * 10)
    false, true = roc_curve(np.eye(3)[label][:, 0], label == 0)
    assert (true == 1).all()
    # Where every lens is as probable, nothing is told: the diagonal.
    np.testing.assert_allclose(roc_curve(np.full(30, 0.5), label == 0)[1], false)
