"""The study of DeepLSS: networks that see the same mosaics, nothing made twice, and the numbers of its figures."""

import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from lensdask.compute import RunOptions
from lensdask.data import load_card
from lensdask.lss.features import BANDS, power_features
from lensdask.lss.spectra import pairs
from lensdask.plots.lss_study import _draws_of
from lensdask.reproduce import EXPERIMENTS, Job, run_experiment
from lensdask.reproduce.deeplss.contours import _rows
from lensdask.reproduce.deeplss.gains import median_ratio
from lensdask.reproduce.deeplss.posteriors import Posterior
from lensdask.reproduce.deeplss.published import COLUMNS, TABLE2
from lensdask.reproduce.deeplss.sensitivities import rank_correlations
from lensdask.reproduce.deeplss.study import ANALYSES, Study

QUIET = RunOptions(show_progress=False, device="cpu", if_exists="resume")


@pytest.mark.parametrize("size", ["tiny", "small", "paper"])
def test_networks_of_a_study_see_the_same_mosaics(tmp_path, size):
    study = Study.of(Job(tmp_path, size))
    recipes = [study.recipe(one) for one in ANALYSES]
    assert len({(r.seed, r.validation) for r in recipes}) == 1
    seen = {one: r.mosaics * (r.training.epochs if r.fresh else 1) for one, r in zip(ANALYSES, recipes, strict=True)}
    of_spectra = {number for one, number in seen.items() if one.summary != "network"}
    assert of_spectra == {study.sets["training"].count}
    assert all(number <= study.sets["training"].count for number in seen.values())
    for scales in ("large", "small"):
        models = {
            str(vars(recipe.model) | {"probe": None})
            for one, recipe in zip(ANALYSES, recipes, strict=True)
            if one.scales == scales
        }
        assert len(models) == 1
    assert len({study.weights(one) for one in ANALYSES}) == len(ANALYSES) == 15
    kinds = {one.summary: recipe.cross for one, recipe in zip(ANALYSES, recipes, strict=True)}
    assert (kinds["signed"], kinds["modulus"]) == ("signed", "modulus")


def test_mosaics_that_judge_are_of_other_simulations(tmp_path):
    sets = Study.of(Job(tmp_path, "small")).sets
    assert {name: (one.tiles, one.split) for name, one in sets.items()} == {
        "training": ("tiles", "training"),
        "validation": ("tiles", "validation"),
        "likelihood": ("tiles", "likelihood"),
        "calibration": ("calibration", "test"),
        "fiducial": ("fiducial", "test"),
    }
    assert sets["calibration"].count >= 200


def test_a_study_is_shared(results, monkeypatch):
    _, directory = results("deeplss.table2")
    monkeypatch.setattr("lensdask.reproduce.deeplss.study.train", None)
    monkeypatch.setattr("lensdask.reproduce.deeplss.posteriors.infer", None)
    monkeypatch.setattr("lensdask.reproduce.deeplss.posteriors.sample_posteriors", None)
    again = directory.parent / "again"
    result = run_experiment("deeplss.table2", again, size="tiny", study=directory.parent / "study", options=QUIET)
    assert result["rows"] == results("deeplss.table2")[0]["rows"]
    assert {path.name for path in again.iterdir()} == {"experiment.json", "result.json", "deeplss.table2.png"}


def test_posteriors_of_a_replaced_compressor_are_made_again(results, monkeypatch):
    _, directory = results("deeplss.figure4")
    calls = []

    def card(path):
        calls.append(path)
        return load_card(path) | {"sha256": "another"}

    def infer(folder, *_args, **_settings):
        calls.append(folder.name)
        raise KeyboardInterrupt

    monkeypatch.setattr("lensdask.reproduce.deeplss.posteriors.load_card", card)
    monkeypatch.setattr("lensdask.reproduce.deeplss.posteriors.infer", infer)
    job = Job(directory.parent / "replaced", "tiny", 0, QUIET, directory.parent / "study")
    with pytest.raises(KeyboardInterrupt):
        EXPERIMENTS["deeplss.figure4"].measure(job)
    assert str(calls[-1]).startswith("combined-large-network-")


def test_table_2_has_every_published_gain_beside_both_kinds_of_spectra(results):
    rows = results("deeplss.table2")[0]["rows"]
    for probe, scales in COLUMNS:
        for kind in ("signed", "modulus"):
            series = f"{probe}, {scales} scales: hybrid over {kind} spectra"
            found = {
                row["quantity"].removeprefix("gain in "): row["published"] for row in rows if row["series"] == series
            }
            assert found == TABLE2[probe, scales]
    assert TABLE2["combined", "large"]["a_ia"] == 8.3
    assert TABLE2["clustering", "small"]["figure of merit"] == 6.2
    assert "a_ia" not in TABLE2["clustering", "large"]


def test_median_ratio():
    rng = np.random.default_rng(1)
    second = rng.uniform(1, 2, 4000)
    value, error = median_ratio(3 * second, second)
    assert (value, error) == (pytest.approx(3.0), pytest.approx(0.0, abs=1e-12))
    value, error = median_ratio(second * rng.lognormal(0, 0.1, 4000), second)
    assert abs(value - 1) < 4 * error
    # The error of a median of normal numbers is 1.2533 σ / √n; its bootstrap scatters by n^(-1/4), 13 per cent.
    assert error == pytest.approx(1.2533 * 0.1 / 4000**0.5, rel=0.4)


def test_rank_correlations_are_spearmans():
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(2, 3, 8, 8)) + rng.normal(size=(3, 8, 8))
    wanted = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(rank_correlations(first, second), wanted, rtol=1e-12)


def test_draws_survive_the_result_file(tmp_path):
    rng = np.random.default_rng(3)
    names = ("omega_m", "s8", "a_ia")
    draws = np.stack([rng.uniform(0.2, 0.4, 3000), rng.normal(0.8, 0.02, 3000), rng.normal(1.0, 0.5, 3000)], axis=1)
    draws[:, 2] += 10 * (draws[:, 1] - 0.8)
    numbers = [
        {"quantity": f"{name} {what}", "measured": 1.0, "error": 0.1}
        for name in (*names, "sigma8")
        for what in ("mean", "standard deviation")
    ]
    chain = {"walkers": 30, "autocorrelation_times": 10.0}
    found = Posterior(tmp_path, names, draws, {"rows": numbers, "chain": chain})
    rows = json.loads(json.dumps(_rows("x", found, dict.fromkeys(("s8", "a_ia", "sigma8"), 0.8))))
    kept = _draws_of(next(row for row in rows if "draws" in row))
    sigma8 = draws[:, 1] * (0.3 / draws[:, 0]) ** 0.5
    wanted = np.stack([draws[:, 1], draws[:, 2], sigma8], axis=1)
    np.testing.assert_allclose(
        np.quantile(kept, [0.1, 0.5, 0.9], axis=0), np.quantile(wanted, [0.1, 0.5, 0.9], axis=0), atol=0.1
    )
    np.testing.assert_allclose(kept.std(axis=0), wanted.std(axis=0), rtol=0.1)
    (row,) = [row for row in rows if row["quantity"] == "correlation of s8 and a_ia"]
    rho = np.corrcoef(draws[:, 1], draws[:, 2])[0, 1]
    assert row["measured"] == pytest.approx(rho)
    assert row["error"] == pytest.approx((1 - rho**2) / 300**0.5)


def test_power_features():
    rng = np.random.default_rng(4)
    spectra = rng.uniform(1, 2, (5, 3, 11))
    spectra[:, :, 9:] = 0.0
    found = power_features(spectra, 2)
    autos = [pairs(2).index((0, 0)), pairs(2).index((1, 1))]
    parts = np.array_split(np.arange(9), BANDS)
    wanted = [[np.log(spectra[k, auto, part].mean()) for auto in autos for part in parts] for k in range(5)]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
