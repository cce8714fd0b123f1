"""``lensdask lss`` as a user meets it: from a cosmology grid to constraints, and one line for every mistake."""

import json
import shutil

import pytest
from command_line import call

import lensdask
from lensdask.data import write

THREADS = ("--cluster", "threads", "--workers", 1)

RECIPE = """\
mosaics = 32
validation = 16
[network]
architecture = "power"
width = 16
[model]
side = 1
ell_max = 1500.0
[training]
epochs = 1
batch = 16
micro_batch = 16
"""


@pytest.fixture(scope="module")
def made(tile_store, tmp_path_factory):
    """Return a folder with a compressor and a thousand summaries."""
    folder = tmp_path_factory.mktemp("lss")
    (folder / "tiny.toml").write_text(RECIPE)
    compressor, summaries = folder / "power.safetensors", folder / "summaries.zarr"
    train = ("lss", "train", compressor, "--tiles", tile_store, "--summary", "power", "--config", folder / "tiny.toml")
    with pytest.MonkeyPatch.context() as patch:
        assert call(patch, *train) == 0
        assert call(patch, "lss", "predict", tile_store, compressor, summaries, "--samples", 1200, *THREADS) == 0
    return folder


def test_from_tiles_to_constraints(made, tmp_path, capfd, monkeypatch):
    summaries = lensdask.open(made / "summaries.zarr")
    assert summaries.sizes == {"sample": 1200, "parameter": 7, "feature": 32}
    options = ("--observation", 7, "--mocks", 0, "--epochs", 2, "--steps", 2000, "--device", "cpu", "--json")
    capfd.readouterr()
    assert call(monkeypatch, "lss", "infer", made / "summaries.zarr", tmp_path / "out", *options) == 0
    result = json.loads(capfd.readouterr().out)
    assert result["observation"] == "row 7"
    assert {row["quantity"] for row in result["rows"]} >= {"s8 mean", "a_ia standard deviation"}
    for name in ("corner.png", "trust.png", "chains.zarr", "likelihood.safetensors", "result.json"):
        assert (tmp_path / "out" / name).exists()


MISTAKES = [
    (("train", "c.safetensors", "--tiles", "no.zarr"), "no.zarr"),
    (("train", "c.safetensors", "--tiles", "{tiles}", "--probe", "shear"), "probe: 'shear'"),
    (("train", "c.safetensors", "--tiles", "{tiles}", "--summary", "peaks"), "recipe 'lss-peaks' is unknown"),
    (("train", "c.safetensors", "--tiles", "{tiles}", "--cross", "absolute"), "cross: 'absolute'"),
    (("train", "c.safetensors", "--tiles", "{tiles}", "--summary", "cnn", "--config", "lss-tiny"), "summary: 'cnn'"),
    (("train", "c.zip", "--tiles", "{tiles}"), "expected .safetensors"),
    (("train", "c.safetensors", "--tiles", "{summaries}"), "a store of lss_summaries; expected one of lss_tiles"),
    (("predict", "{tiles}", "no.safetensors", "s.zarr", "--samples", "4"), "no.json cannot be read"),
    (("predict", "{tiles}", "{compressor}", "s.zarr", "--samples", "0"), "samples"),
    (("predict", "{tiles}", "{compressor}", "s.zarr", "--samples", "4", "--split", "all"), "split: 'all'"),
    (("predict", "{tiles}", "{compressor}", "{summaries}", "--samples", "4"), "--resume"),
    (("predict", "{summaries}", "{compressor}", "s.zarr", "--samples", "4"), "expected one of lss_tiles"),
    (("infer", "{tiles}", "out"), "expected 'lss_summaries'"),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES)
def test_mistakes_are_told_in_one_line(words, message, made, tile_store, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    places = {"tiles": tile_store, "summaries": made / "summaries.zarr", "compressor": made / "power.safetensors"}
    assert call(monkeypatch, "lss", *(word.format(**places) for word in words)) == 2
    lines = capfd.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
    assert not list(tmp_path.iterdir())


def test_a_compressor_of_another_sky_is_told_of_on_one_line(made, tile_store, tmp_path, monkeypatch, capfd):
    write(lensdask.open(tile_store).isel(seed=[2]).assign_attrs(sky="nbody"), tmp_path / "nbody.zarr")
    words = ("lss", "predict", tmp_path / "nbody.zarr", made / "power.safetensors", tmp_path / "s.zarr")
    assert call(monkeypatch, *words, "--samples", 4, *THREADS) == 0
    told = [line for line in capfd.readouterr().err.splitlines() if line.startswith("lensdask:")]
    assert len(told) == 1
    assert "learned from lognormal tiles and is used on nbody ones" in told[0]


def test_unfinished_summaries_are_refused(made, tmp_path, monkeypatch, capfd):
    summaries, journal = tmp_path / "s.zarr", tmp_path / "s.zarr.journal.jsonl"
    shutil.copytree(made / "summaries.zarr", summaries)
    lines = (made / "summaries.zarr.journal.jsonl").read_text().splitlines(keepends=True)
    journal.write_text("".join(lines[:-1]))
    capfd.readouterr()
    assert call(monkeypatch, "lss", "infer", summaries, tmp_path / "out") == 2
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert line.endswith("expected a finished run: continue lensdask lss predict with --resume")
