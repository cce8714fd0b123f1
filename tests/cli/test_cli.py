"""The command line as a user meets it: results, result files, and one line for every mistake."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from astropy.io import fits
from command_line import call

import lensdask
from lensdask.compute import status
from lensdask.compute.runs.journal_format import read_lines
from lensdask.data import SHAPES, file_sha256, save_weights
from lensdask.training import Checkpoint

BIAS = ["shear", "bias", "run", "--galaxies", "8", "--estimator", "fpfs"]
ROW = {"quantity", "published", "measured", "error", "unit", "comparable"}
PNG = b"\x89PNG\r\n\x1a\n"

TINY = """\
galaxies = 64
validation = 16
[training]
epochs = 1
batch = 16
[network]
channels = [4, 8]
strides = [1, 2]
hidden = 4
grid_points = 12
"""


def program(*arguments, cwd):
    """Return a command and the environment of the installed program."""
    command = [sys.executable, "-c", "from lensdask.cli import main; main()", *map(str, arguments)]
    return {"args": command, "cwd": cwd, "env": os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}}


def run_program(*arguments, cwd):
    return subprocess.run(**program(*arguments, cwd=cwd), capture_output=True, text=True, check=False)


def snapshot(folder: Path) -> dict[str, str]:
    """Return a digest of every file, and the names of the directories."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in folder.rglob("*")
    }


def rows_of_store(path: Path) -> bytes:
    dataset = lensdask.open(path).load()
    return b"".join(dataset[name].values.tobytes() for name in (*SHAPES.variables, "galaxy", "g1", "g2"))


def sums_of(journal: Path) -> dict:
    return {line["chunk"]: line["sums"] for line, _ in read_lines(journal) if line["event"] == "done"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- what works -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_simulate_then_measure(monkeypatch, capfd):
    threads = ("--cluster", "threads", "--workers", 1)
    assert call(monkeypatch, "shear", "simulate", "stamps.zarr", "--galaxies", 16, "--seed", 3, *threads) == 0
    assert "stamps.zarr: 16 galaxies" in capfd.readouterr().out
    stamps = lensdask.open("stamps.zarr")
    assert stamps["image"].shape == (16, 4, 64, 64)
    assert call(monkeypatch, "shear", "measure", "stamps.zarr", "shapes.zarr", "--estimator", "fpfs", *threads) == 0
    shapes = lensdask.open("shapes.zarr")
    assert dict(shapes.sizes) == {"galaxy": 16, "shear": 4}
    assert all(np.isfinite(shapes[name]).all() for name in SHAPES.variables)
    np.testing.assert_array_equal(shapes["g1"], [0.02, -0.02, 0, 0])
    assert shapes.attrs["estimator"] == "fpfs"


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Return the folder of a bias test of some tens of chunks, and what the program printed."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    done = run_program(*bias_of_many_chunks(), "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def bias_of_many_chunks():
    return "shear", "bias", "run", "--galaxies", 1024, "--estimator", "fpfs", "--workers", 2


def test_bias_prints_json_alone_and_leaves_files(uninterrupted):
    folder, printed = uninterrupted
    result = json.loads(printed)
    assert result == json.loads((folder / "run" / "result.json").read_text())
    assert set(result) >= {"experiment", "size", "rows", "run"}
    assert result["experiment"] == "shear.bias fpfs"
    assert result["size"] == 1024
    assert [row["quantity"] for row in result["rows"]] == ["m1", "m2", "c1", "c2", "shape_noise_1", "shape_noise_2"]
    for row in result["rows"]:
        assert set(row) >= ROW
        assert isinstance(row["measured"], float)
        assert row["error"] > 0
        assert row["comparable"] is (row["published"] is not None and row["comparable"])
    assert set(result["run"]) >= {"versions", "device", "wall_s", "objects", "objects_per_s"}
    assert result["run"]["objects"] == 1024
    assert {"lensdask", "torch", "dask", "numpy"} <= set(result["run"]["versions"])
    assert (folder / "run" / "bias.png").read_bytes().startswith(PNG)
    assert json.loads((folder / "run" / "run.json").read_text())["quarantined"] == []


def test_killed_and_resumed(uninterrupted, tmp_path):
    journal = tmp_path / "run" / "shapes.zarr.journal.jsonl"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    with subprocess.Popen(**program(*bias_of_many_chunks(), cwd=tmp_path), **quiet) as driver:
        while not (journal.exists() and b'"done"' in journal.read_bytes()):
            assert driver.poll() is None, "finished or failed before it could be killed"
            time.sleep(0.01)
        children = psutil.Process(driver.pid).children(recursive=True)
        os.kill(driver.pid, signal.SIGKILL)
    assert psutil.wait_procs(children, timeout=60)[1] == [], "orphans"
    assert status(tmp_path / "run").left > 0, "nothing was left to resume"
    resumed = run_program(*bias_of_many_chunks(), "--resume", "--json", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    folder, printed = uninterrupted
    assert 0 < json.loads(resumed.stdout)["run"]["objects"] < 1024
    assert json.loads(resumed.stdout)["rows"] == json.loads(printed)["rows"]
    assert rows_of_store(tmp_path / "run" / "shapes.zarr") == rows_of_store(folder / "run" / "shapes.zarr")
    assert sums_of(journal) == sums_of(folder / "run" / journal.name)


@pytest.mark.usefixtures("here")
def test_resuming_a_finished_run_computes_nothing(monkeypatch, capfd):
    arguments = (*BIAS, "--cluster", "threads", "--workers", 1, "--json")
    assert call(monkeypatch, *arguments) == 0
    first = json.loads(capfd.readouterr().out)
    assert call(monkeypatch, *arguments, "--resume") == 0
    again = json.loads(capfd.readouterr().out)
    assert again["rows"] == first["rows"]
    # What is on record is the run that computed.
    assert again["run"] == first["run"]


@pytest.mark.usefixtures("here")
def test_bias_with_a_cut(monkeypatch, capfd):
    threads = ("--cluster", "threads", "--workers", 1)
    arguments = ("shear", "bias", "run", "--galaxies", 64, "--estimator", "fpfs", *threads)
    assert call(monkeypatch, *arguments, "--magnitude-cut", 25.5, "--cut-width", 0.2, "--json") == 0
    result = json.loads(capfd.readouterr().out)
    rows = {row["quantity"]: row for row in result["rows"]}
    assert list(rows)[-2:] == ["m1_uncorrected", "m2_uncorrected"]
    assert len(rows) == 8
    for name in ("m1", "m2"):
        assert set(rows[f"{name}_uncorrected"]) >= ROW
        assert rows[name]["measured"] != rows[f"{name}_uncorrected"]["measured"]
    assert result["selection"]["column"] == "flux"
    assert 32 < result["selected"] < 64


@pytest.mark.usefixtures("here")
def test_a_cut_that_keeps_nobody_keeps_what_was_measured(monkeypatch, capfd):
    threads = ("--cluster", "threads", "--workers", 1)
    arguments = ("shear", "bias", "run", "--galaxies", 16, "--estimator", "fpfs", *threads)
    assert call(monkeypatch, *arguments, "--magnitude-cut", 12) == 2
    message = capfd.readouterr().err.splitlines()[-1]
    assert "0 of 16 galaxies are kept" in message
    assert "run/shapes.zarr" in message
    shapes = lensdask.open("run/shapes.zarr")
    assert np.isfinite(lensdask.shear.bias(shapes).values).all()


@pytest.mark.usefixtures("here")
def test_exchanged_correlated_noise(monkeypatch, capfd):
    threads = ("--cluster", "threads", "--workers", 1)
    arguments = ("--noise", "exchanged", "--noise-fwhm", 0.4, "--noise-sigma", 0.2, *threads, "--json")
    assert call(monkeypatch, "shear", "bias", "run", "--galaxies", 16, "--estimator", "fpfs", *arguments) == 0
    rows = {row["quantity"]: row for row in json.loads(capfd.readouterr().out)["rows"]}
    # Sixteen galaxies: independent noise leaves errors of ten per cent.
    assert abs(rows["m1"]["measured"]) < 1e-3
    assert rows["m1"]["error"] < 1e-3
    settings = json.loads(Path("run/run.json").read_text())["configuration"]["observation"]
    assert (settings["noise"], settings["noise_fwhm"]) == ("exchanged", 0.4)


@pytest.mark.usefixtures("here")
def test_train_then_measure(monkeypatch, capfd):
    Path("tiny.toml").write_text(TINY)
    assert call(monkeypatch, "shear", "train", "models/tiny.safetensors", "--config", "tiny.toml", "--json") == 0
    card = json.loads(capfd.readouterr().out)
    assert card == json.loads(Path("models/tiny.json").read_text())
    assert card["sha256"] == file_sha256("models/tiny.safetensors")
    assert card["epochs_done"] == len(card["loss"]["training"]) == len(card["loss"]["validation"]) == 1
    assert np.isfinite(card["loss"]["training"] + card["loss"]["validation"]).all()
    assert card["date"].startswith("20")
    assert card["machine"]
    assert card["recipe"]["galaxies"] == 64
    threads = ("--cluster", "threads", "--workers", 1)
    assert call(monkeypatch, "shear", "simulate", "stamps.zarr", "--galaxies", 8, *threads) == 0
    network = ("--estimator", "models/tiny.safetensors")
    assert call(monkeypatch, "shear", "measure", "stamps.zarr", "shapes.zarr", *network, *threads) == 0
    shapes = lensdask.open("shapes.zarr")
    assert np.isfinite(shapes["de1_dg1"]).all()
    assert float(np.abs(shapes["e1"]).max()) > 0


@pytest.mark.usefixtures("here")
def test_options_of_training_override_the_file(monkeypatch, capfd):
    Path("tiny.toml").write_text(TINY)
    options = ("--config", "tiny.toml", "--galaxies", 32, "--epochs", 2, "--seed", 5, "--json")
    assert call(monkeypatch, "shear", "train", "tiny.safetensors", *options) == 0
    card = json.loads(capfd.readouterr().out)
    assert (card["recipe"]["galaxies"], card["recipe"]["seed"], card["epochs_done"]) == (32, 5, 2)


@pytest.mark.usefixtures("here")
def test_a_training_that_was_killed_is_continued(monkeypatch, capfd):
    Path("tiny.toml").write_text(TINY)
    train = ("shear", "train", "tiny.safetensors", "--config", "tiny.toml", "--galaxies", 32, "--epochs", 2)
    assert call(monkeypatch, *train) == 0
    whole = file_sha256("tiny.safetensors")
    Path("tiny.safetensors").unlink()
    kept = Checkpoint.save

    def killed(checkpoint, state):
        kept(checkpoint, state)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", killed)
        assert call(monkeypatch, *train) == 130
    assert call(monkeypatch, *train) == 2
    assert "tiny.checkpoint: an interrupted training; continue it with --resume" in capfd.readouterr().err
    assert call(monkeypatch, *train, "--seed", 9, "--resume") == 2
    assert "tiny.checkpoint is of a training with another recipe" in capfd.readouterr().err
    assert call(monkeypatch, *train, "--resume") == 0
    assert file_sha256("tiny.safetensors") == whole
    assert sorted(path.name for path in Path().glob("tiny.*")) == ["tiny.json", "tiny.safetensors", "tiny.toml"]


@pytest.mark.usefixtures("here")
def test_train_by_the_name_of_a_recipe(monkeypatch, capfd):
    assert call(monkeypatch, "shear", "train", "tiny.safetensors", "--config", "d4cnn-tiny", "--json") == 0
    card = json.loads(capfd.readouterr().out)
    assert (card["config"]["channels"], card["recipe"]["galaxies"]) == ([4, 8], 48)


# --- what does not ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return a folder with a store of stamps, a store of shapes, a run, weights and catalogues, good and bad."""
    from lensdask.shear import Observation, RunOptions, measure_run, run_bias, simulate_run
    from lensdask.shear.shapes.d4cnn import D4CNN, D4CNNConfig, describe

    folder = tmp_path_factory.mktemp("finished")
    quiet = RunOptions(show_progress=False)
    simulate_run(folder / "stamps.zarr", galaxies=8, options=quiet)
    measure_run(folder / "stamps.zarr", folder / "shapes.zarr", estimator="fpfs", options=quiet)
    run_bias(folder / "done", galaxies=8, estimator="fpfs", observation=Observation(), options=quiet)
    network = D4CNNConfig(channels=(4,), strides=(1,), hidden=4, grid_points=12)
    tensors = D4CNN(network).state_dict()
    save_weights(folder / "good.safetensors", tensors, describe(network))
    save_weights(folder / "resnet.safetensors", tensors, describe(network) | {"architecture": "resnet"})
    wider = describe(D4CNNConfig(channels=(8,), strides=(1,), hidden=4, grid_points=12))
    save_weights(folder / "misfit.safetensors", tensors, wider)
    save_weights(folder / "corrupted.safetensors", tensors, describe(network))
    damaged = bytearray((folder / "corrupted.safetensors").read_bytes())
    damaged[-5] ^= 0xFF
    (folder / "corrupted.safetensors").write_bytes(damaged)
    save_weights(folder / "cardless.safetensors", tensors, describe(network))
    (folder / "cardless.json").unlink()
    save_weights(folder / "weightless.safetensors", tensors, describe(network))
    (folder / "weightless.safetensors").unlink()
    column = fits.Column(name="redshift", format="D", array=np.array([0.5, 1.0]))
    fits.BinTableHDU.from_columns([column]).writeto(folder / "no-size.fits")
    (folder / "text.fits").write_text("not a FITS file\n")
    (folder / "unknown.toml").write_text("galaxy_count = 10\n")
    (folder / "unknown-network.toml").write_text("[network]\nlayers = 3\n")
    (folder / "wrong-type.toml").write_text('galaxies = "many"\n')
    (folder / "no-table.toml").write_text("training = 3\n")
    (folder / "uneven.toml").write_text("[network]\nchannels = [4]\nstrides = [1, 2]\n")
    (folder / "broken.toml").write_text("galaxies = = 10\n")
    (folder / "plain").mkdir()
    (folder / "not-json.scheduler").write_text("{")
    return folder


MEASURE = ["shear", "measure", "stamps.zarr", "new.zarr", "--estimator"]
SIMULATE = ["shear", "simulate", "new.zarr", "--galaxies", "8"]
TRAIN = ["shear", "train", "new.safetensors", "--galaxies", "8", "--epochs", "1"]
DONE = ["shear", "bias", "done", "--galaxies", "8", "--estimator", "fpfs"]

MISTAKES = {
    "unknown estimator": (["shear", "bias", "run", "--galaxies", "8", "--estimator", "sextractor"], "sextractor"),
    "model without suffix": ([*MEASURE, "good.pt"], r"\.safetensors"),
    "train to another suffix": (["shear", "train", "new.pt"], r"\.safetensors"),
    "odd number of galaxies": (["shear", "bias", "run", "--galaxies", "7", "--estimator", "fpfs"], "even"),
    "no galaxies": (["shear", "simulate", "new.zarr", "--galaxies", "0"], "even"),
    "negative galaxies": (["shear", "simulate", "new.zarr", "--galaxies", "-2"], "even"),
    "no training galaxies": (["shear", "train", "new.safetensors", "--galaxies", "0"], "galaxies: 0"),
    "no epochs": (["shear", "train", "new.safetensors", "--galaxies", "8", "--epochs", "0"], "epochs: 0"),
    "negative noise": ([*BIAS, "--noise-sigma", "-1"], "noise_sigma: -1"),
    "NaN noise": ([*BIAS, "--noise-sigma", "nan"], "noise_sigma: nan"),
    "infinite noise": ([*SIMULATE, "--noise-sigma", "inf"], "noise_sigma: inf"),
    "NaN shear": ([*SIMULATE, "--shear", "nan"], "shear: nan"),
    "NaN PSF": ([*SIMULATE, "--psf-e1", "nan"], "nan"),
    "unknown noise": ([*BIAS, "--noise", "swapped"], "expected independent or exchanged"),
    "negative width of a noise kernel": ([*SIMULATE, "--noise-fwhm", "-1"], "noise_fwhm: -1"),
    "a noise kernel larger than a stamp": ([*SIMULATE, "--noise-fwhm", "1e9"], "of at most 12.8 .*the side of a stamp"),
    "a needle for a PSF": ([*SIMULATE, "--psf-e1", "0.99"], "PSF ellipticity: 0.99; expected a number of at most 0.9"),
    "noise of no survey": (
        [*BIAS, "--noise-sigma", "1e30"],
        r"noise_sigma: 1e\+30; expected a number from 0 to 1e\+06",
    ),
    "no resamplings": ([*BIAS, "--bootstrap", "0"], "bootstrap"),
    "NaN magnitude cut": ([*BIAS, "--magnitude-cut", "nan"], "magnitude cut: nan"),
    "negative width of a cut": ([*BIAS, "--magnitude-cut", "25", "--cut-width", "-1"], "width: -1"),
    "width without a cut": ([*BIAS, "--cut-width", "0.1"], "--magnitude-cut"),
    "settings of FPFS": ([*MEASURE, "fpfs:0.7"], "fpfs:SIGMA,C"),
    "magnitude limit": ([*BIAS, "--magnitude-limit", "99"], "99"),
    "NaN magnitude limit": ([*BIAS, "--magnitude-limit", "nan"], "nan"),
    "negative seed of a bias": ([*BIAS, "--seed", "-1"], "seed: -1"),
    "negative seed of a simulation": ([*SIMULATE, "--seed", "-1"], "seed: -1"),
    "negative seed of a training": ([*TRAIN, "--seed", "-1"], "seed: -1"),
    "catalogue without columns": ([*BIAS, "--catalogue", "no-size.fits"], "no column galtileid"),
    "catalogue of text": ([*SIMULATE, "--catalogue", "text.fits"], r"text\.fits: cannot be read"),
    "catalogue missing": ([*BIAS, "--catalogue", "nowhere.fits"], r"nowhere\.fits"),
    "train anew and on": ([*TRAIN, "--resume", "--overwrite"], "--resume and --overwrite"),
    "unknown recipe": ([*TRAIN, "--config", "d4cnn-huge"], "recipe 'd4cnn-huge' is unknown; expected cnn, d4cnn-1"),
    "catalogue missing in training": ([*TRAIN, "--catalogue", "nowhere.fits"], r"nowhere\.fits"),
    "run exists": (DONE, "--resume"),
    "run folder is a file": (["shear", "bias", "text.fits", "--galaxies", "8", "--estimator", "fpfs"], r"text\.fits"),
    "overwrite what is no store": (["shear", "simulate", "plain", "--galaxies", "8", "--overwrite"], "not a store"),
    "measure onto itself": (["shear", "measure", "stamps.zarr", "stamps.zarr", "--estimator", "fpfs"], r"stamps\.zarr"),
    "measure over itself": (
        ["shear", "measure", "stamps.zarr", "stamps.zarr", "--estimator", "fpfs", "--overwrite"],
        r"stamps\.zarr",
    ),
    "overwrite with corrupted weights": (
        ["shear", "bias", "done", "--galaxies", "8", "--estimator", "corrupted.safetensors", "--overwrite"],
        r"corrupted\.safetensors",
    ),
    "overwrite without a scheduler": ([*DONE, "--overwrite", "--cluster", "nowhere.json"], "no such scheduler file"),
    "stamps exist": (["shear", "simulate", "stamps.zarr", "--galaxies", "8"], "--overwrite"),
    "shapes exist": (["shear", "measure", "stamps.zarr", "shapes.zarr", "--estimator", "fpfs"], "--overwrite"),
    "weights exist": (["shear", "train", "good.safetensors"], "--overwrite"),
    "resume and overwrite": ([*DONE, "--resume", "--overwrite"], "--resume and --overwrite"),
    "resume with another size": (
        ["shear", "bias", "done", "--galaxies", "10", "--estimator", "fpfs", "--resume"],
        "another configuration",
    ),
    "resume with another seed": ([*DONE, "--seed", "1", "--resume"], "another configuration"),
    "resume with a cut": ([*DONE, "--magnitude-cut", "26", "--resume"], "another configuration"),
    "resume with other noise": ([*DONE, "--noise-sigma", "0", "--resume"], "another configuration"),
    "scheduler not there": ([*BIAS, "--cluster", "tcp://127.0.0.1:1"], r"tcp://127\.0\.0\.1:1"),
    "scheduler unencrypted": ([*BIAS, "--cluster", "tcp://192.0.2.1:8786"], "--insecure"),
    "scheduler file missing": ([*BIAS, "--cluster", "nowhere.json"], "no such scheduler file"),
    "scheduler file damaged": ([*BIAS, "--cluster", "not-json.scheduler"], "not JSON"),
    "no workers": ([*BIAS, "--workers", "0"], "workers"),
    "measure nothing": (["shear", "measure", "nowhere.zarr", "new.zarr", "--estimator", "fpfs"], "nowhere.zarr"),
    "measure a folder": (["shear", "measure", "plain", "new.zarr", "--estimator", "fpfs"], "not a store"),
    "measure a file": (["shear", "measure", "text.fits", "new.zarr", "--estimator", "fpfs"], "not a store"),
    "measure shapes": (["shear", "measure", "shapes.zarr", "new.zarr", "--estimator", "fpfs"], "store of shapes"),
    "weights missing": ([*MEASURE, "nowhere.safetensors"], r"nowhere\.(json|safetensors) cannot be read"),
    "weights without card": ([*MEASURE, "cardless.safetensors"], r"cardless\.json cannot be read"),
    "card without weights": ([*MEASURE, "weightless.safetensors"], r"weightless\.safetensors cannot be read"),
    "weights corrupted": ([*MEASURE, "corrupted.safetensors"], r"corrupted\.safetensors has sha256"),
    "weights of another network": ([*MEASURE, "resnet.safetensors"], "architecture 'resnet'"),
    "weights that do not fit": ([*MEASURE, "misfit.safetensors"], "another architecture"),
    "weights corrupted, bias": (
        ["shear", "bias", "run", "--galaxies", "8", "--estimator", "corrupted.safetensors"],
        r"corrupted\.safetensors has sha256",
    ),
    "unknown device": ([*BIAS, "--device", "tpu"], "device: 'tpu'"),
    "unknown device in training": ([*TRAIN, "--device", "tpu"], "device: 'tpu'"),
    "CUDA absent": ([*BIAS, "--device", "cuda"], "CUDA"),
    "unknown setting": ([*TRAIN, "--config", "unknown.toml"], "galaxy_count"),
    "unknown setting of the network": ([*TRAIN, "--config", "unknown-network.toml"], "layers"),
    "setting of another type": ([*TRAIN[:3], "--config", "wrong-type.toml"], "galaxies"),
    "setting that is no table": ([*TRAIN, "--config", "no-table.toml"], "training"),
    "channels without strides": ([*TRAIN, "--config", "uneven.toml"], "strides"),
    "settings that are no TOML": ([*TRAIN, "--config", "broken.toml"], r"broken\.toml"),
    "settings missing": ([*TRAIN, "--config", "nowhere.toml"], r"nowhere\.toml"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_gets_one_line_and_leaves_nothing(finished, tmp_path, monkeypatch, capfd, mistake):
    arguments, message = MISTAKES[mistake]
    clustered = arguments[1] != "train" and "--cluster" not in arguments and "--workers" not in arguments
    folder = shutil.copytree(finished, tmp_path / "copy")
    monkeypatch.chdir(folder)
    monkeypatch.setattr("lensdask.compute.devices.count_cuda_devices", lambda: 0)
    monkeypatch.setattr("lensdask.compute.clusters._CONNECT_SECONDS", 1)
    before = snapshot(folder)
    code = call(monkeypatch, *arguments, *(("--cluster", "threads", "--workers", "1") if clustered else ()))
    after = snapshot(folder)
    printed = capfd.readouterr()
    assert code == 2, printed.err
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("lensdask: ")
    assert re.search(message, line), line
    assert sorted(set(after) - set(before)) == []
    assert after == before


@pytest.mark.parametrize(
    "arguments",
    [
        ["shear", "bias", "run"],
        ["shear", "bias", "run", "--galaxies", "many"],
        ["shear", "bias", "run", "--galaxies", "8", "--nosuch", "1"],
        ["shear", "nosuch"],
    ],
)
def test_misspelt_command(here, monkeypatch, capfd, arguments):
    assert call(monkeypatch, *arguments) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err
    assert "Traceback" not in printed.err
    assert list(here.iterdir()) == []


@pytest.mark.usefixtures("here")
def test_interrupt_says_how_to_continue(monkeypatch, capfd):
    def interrupted(*_, **__):
        raise KeyboardInterrupt('bias fpfs: interrupted with 1 of 4 chunks done; continue with if_exists="resume"')

    monkeypatch.setattr("lensdask.shear.runs.run", interrupted)
    assert call(monkeypatch, *BIAS, "--cluster", "threads", "--workers", "1") == 130
    assert capfd.readouterr().err.splitlines()[-1].endswith("continue with --resume")
