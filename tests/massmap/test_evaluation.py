"""Mass maps held against the truth: known answers, the same numbers as from arrays, refused input."""

import json

import numpy as np
import pytest
from mass_stores import PIXEL_SCALE, shear_store_dataset

from lensdask.compute import RunOptions, start_cluster, status
from lensdask.data import MASS_MAPS, common_attributes, write
from lensdask.errors import InputError
from lensdask.maps.statistics.metrics import mean_over_maps, pixel_statistics, pixel_sums, pooled
from lensdask.massmap.evaluation import EvaluateFields, evaluate

FIELDS = 5
QUIET = {"show_progress": False}


def mass_maps(kappa, method="half", **attributes):
    """Return a dataset of mass maps."""
    maps = shear_store_dataset(len(kappa))
    config = {"sum": float(np.nan_to_num(kappa).sum())}
    own = {"pixel_scale": PIXEL_SCALE, "method": method, "maps_hash": maps.attrs["configuration_hash"]}
    attributes = common_attributes(MASS_MAPS, config) | own | attributes
    dims = ("field", "y", "x")
    return maps[["mask"]].assign(kappa=(dims, np.asarray(kappa, dtype=np.float32))).assign_attrs(attributes)


def noisy(kappa, seed=0):
    return 0.7 * kappa + np.random.default_rng(seed).normal(0, 0.02, kappa.shape)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with the truth and some reconstructions of it."""
    folder = tmp_path_factory.mktemp("evaluated")
    maps = shear_store_dataset(FIELDS)
    kappa = maps["kappa"].values
    write(maps, folder / "maps.zarr", chunk=2)
    write(mass_maps(kappa, "perfect"), folder / "perfect.zarr")
    write(mass_maps(0.5 * kappa), folder / "half.zarr")
    write(mass_maps(noisy(kappa), "noisy"), folder / "noisy.zarr", chunk=1)
    write(mass_maps(noisy(kappa, 1), "noisy"), folder / "other.zarr")
    return folder


def evaluated(folder, out, *names, **options):
    run = RunOptions(**(QUIET | options))
    return evaluate(out, [folder / f"{name}.zarr" for name in names], truth=folder / "maps.zarr", options=run)


def numbers(result, series):
    return {row["quantity"]: row["measured"] for row in result["rows"] if row["series"] == series}


def test_known_answers(folder, tmp_path):
    result = evaluated(folder, tmp_path / "out", "perfect", "half")
    assert result == json.loads((tmp_path / "out" / "result.json").read_text())
    assert set(result) >= {"experiment", "size", "rows", "run"}
    assert (result["size"], result["run"]["objects"], result["run"]["quarantined"]) == (FIELDS, FIELDS, 0)
    perfect, half = numbers(result, "perfect"), numbers(result, "half")
    for suffix in ("", " smoothed"):
        assert perfect[f"rmse{suffix}"] == pytest.approx(0, abs=1e-9)
        for name in ("slope", "total_slope", "correlation"):
            assert perfect[name + suffix] == pytest.approx(1, abs=1e-6)
        assert half[f"slope{suffix}"] == pytest.approx(0.5, abs=1e-6)
        assert half[f"total_slope{suffix}"] == pytest.approx(0.5, abs=1e-6)
    power = {row["x"]: row["measured"] for row in result["rows"] if row["quantity"].startswith("power ratio")}
    ratios = {
        series: [r["measured"] for r in result["rows"] if r["series"] == series and "ratio" in r["quantity"]]
        for series in ("perfect", "half")
    }
    assert len(power) == len(ratios["half"]) == 12
    measured = {series: [v for v in values if v is not None] for series, values in ratios.items()}
    assert len(measured["half"]) >= 9
    np.testing.assert_allclose(measured["perfect"], 1, atol=1e-6)
    np.testing.assert_allclose(measured["half"], 0.25, atol=1e-6)


def test_the_numbers_of_arrays(folder, tmp_path):
    result = evaluated(folder, tmp_path / "out", "noisy")
    maps = shear_store_dataset(FIELDS)
    kappa, mask = maps["kappa"].values.astype(np.float64), maps["mask"].values
    table = pixel_sums(kappa, noisy(kappa).astype(np.float32).astype(np.float64), mask)
    values, errors = pooled(table, pixel_statistics)
    rows = [row for row in result["rows"] if "smoothed" not in row["quantity"] and "x" not in row]
    np.testing.assert_allclose([row["measured"] for row in rows], values, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose([row["error"] for row in rows], errors, rtol=1e-5)
    # The error of the scatter between fields is that of their mean.
    mean, error = mean_over_maps(pixel_statistics(table))
    np.testing.assert_allclose(errors[3], error[3], rtol=0.5)
    np.testing.assert_allclose(values[3], mean[3], rtol=0.02)


def test_methods_are_compared_on_the_same_fields(folder, tmp_path):
    result = evaluated(folder, tmp_path / "out", "noisy", "half")
    (raw, smooth) = (row for row in result["rows"] if row["quantity"].startswith("rmse / noisy"))
    each = {name: numbers(result, name) for name in ("noisy", "half")}
    assert raw["series"] == smooth["series"] == "half"
    assert raw["measured"] == pytest.approx(each["half"]["rmse"] / each["noisy"]["rmse"])
    assert smooth["measured"] == pytest.approx(each["half"]["rmse smoothed"] / each["noisy"]["rmse smoothed"])
    assert 0 < raw["error"] < raw["measured"]


def test_the_same_on_a_cluster_and_after_an_interruption(folder, tmp_path, monkeypatch):
    expected = evaluated(folder, tmp_path / "direct", "noisy", "half")["rows"]
    with start_cluster("threads", workers=2) as client:
        assert evaluated(folder, tmp_path / "threads", "noisy", "half", cluster=client)["rows"] == expected
    whole = EvaluateFields.__call__

    def interrupted(self, start, *arguments):
        if start == 4:
            raise KeyboardInterrupt
        return whole(self, start, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(EvaluateFields, "__call__", interrupted)
        with pytest.raises(KeyboardInterrupt, match="if_exists="):
            evaluated(folder, tmp_path / "resumed", "noisy", "half")
    assert not (tmp_path / "resumed" / "result.json").exists()
    assert status(tmp_path / "resumed").unit == "fields"
    resumed = evaluated(folder, tmp_path / "resumed", "noisy", "half", if_exists="resume")
    assert resumed["rows"] == expected
    # A finished run keeps what is on record of the one that computed.
    again = evaluated(folder, tmp_path / "resumed", "noisy", "half", if_exists="resume")
    assert again == resumed
    assert again["run"]["objects"] == 1


def test_one_field_has_no_error(tmp_path):
    maps = shear_store_dataset(1)
    write(maps, tmp_path / "maps.zarr")
    write(mass_maps(maps["kappa"].values), tmp_path / "half.zarr")
    rows = evaluated(tmp_path, tmp_path / "out", "half")["rows"]
    assert {row["error"] for row in rows} == {None}
    assert json.loads((tmp_path / "out" / "result.json").read_text())["rows"] == rows


def test_methods_of_one_name_are_told_apart_by_their_stores(folder, tmp_path):
    result = evaluated(folder, tmp_path / "out", "noisy", "other")
    assert list(dict.fromkeys(row["series"] for row in result["rows"])) == ["noisy", "other"]


def test_what_cannot_be_compared(folder, tmp_path):
    kappa = shear_store_dataset(FIELDS)["kappa"].values
    unfinished = kappa.copy()
    unfinished[3] = np.nan
    write(mass_maps(unfinished), tmp_path / "unfinished.zarr")
    write(mass_maps(kappa[:4]), tmp_path / "fewer.zarr")
    write(mass_maps(kappa, pixel_scale=0.41), tmp_path / "finer.zarr")
    write(mass_maps(kappa, maps_hash="of another sky"), tmp_path / "sky.zarr")
    learned = shear_store_dataset(FIELDS).attrs["configuration_hash"]
    write(mass_maps(kappa, trained_on=["of another sky", learned]), tmp_path / "learned.zarr")
    write(mass_maps(kappa).assign_coords(field=np.arange(FIELDS) + 7), tmp_path / "elsewhere.zarr")
    write(shear_store_dataset(FIELDS).drop_vars("kappa"), tmp_path / "real.zarr")
    truth, out = folder / "maps.zarr", tmp_path / "out"
    cases = {
        "unfinished": "field 3 is not finite inside the mask; expected a finished",
        "fewer": r"maps of shape \(4, 48, 48\)",
        "finer": "pixels of 0.41 arcmin",
        "elsewhere": "ids of other fields",
        "sky": "made of other shear maps",
        "learned": "trained on fields of this truth",
        "nowhere": "does not exist",
        "real": "store of shear_maps",
    }
    for name, message in cases.items():
        with pytest.raises(InputError, match=message):
            evaluate(out, [tmp_path / f"{name}.zarr"], truth=truth, options=RunOptions(**QUIET))
    half = folder / "half.zarr"
    for arguments, settings, message in (
        ((out, [half]), {"truth": tmp_path / "real.zarr"}, "no true convergence"),
        ((out, [half]), {"truth": half}, "store of mass_maps"),
        ((out, [half, half]), {"truth": truth}, "each once"),
        ((half, [half]), {"truth": truth}, "expected OUT_DIR"),
        ((out, [half]), {"truth": truth, "smoothing": -1.0}, "smoothing: -1"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate(*arguments, options=RunOptions(**QUIET), **settings)
    assert not (out / "result.json").exists()
