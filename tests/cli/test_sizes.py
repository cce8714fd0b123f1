"""Numbers that no machine can do are refused at once, by name, and nothing is left behind."""

import os

import pytest
from command_line import call

THREADS = ("--cluster", "threads", "--workers", "1")

HUGE = 10**12
BEYOND = 10**23

COUNTS = {
    "galaxies to simulate": ("shear", "simulate", "new.zarr", "--galaxies", "N", *THREADS),
    "galaxies of a bias": ("shear", "bias", "new", "--estimator", "fpfs", "--galaxies", "N", *THREADS),
    "galaxies to learn from": ("shear", "train", "new.safetensors", "--galaxies", "N"),
    "resamplings of a bias": ("shear", "bias", "new", "--galaxies", "8", "--bootstrap", "N", *THREADS),
    "workers": ("shear", "bias", "new", "--estimator", "fpfs", "--galaxies", "8", "--workers", "N"),
    "threads": ("shear", "bias", "new", "--galaxies", "8", "--cluster", "threads", "--workers", "N"),
    "fields": ("massmap", "simulate", "new.zarr", "--fields", "N", *THREADS),
    "pixels of a field": ("massmap", "simulate", "new.zarr", "--fields", "1", "--size", "N", *THREADS),
    "fields to learn from": ("massmap", "train", "new.safetensors", "--fields", "N"),
    "cosmologies": ("lss", "simulate", "new.zarr", "--cosmologies", "N", *THREADS),
    "cosmologies for tests": ("lss", "simulate", "new.zarr", "--cosmologies", "calibration:N", *THREADS),
    "simulations": ("lss", "simulate", "new.zarr", "--seeds", "N", *THREADS),
    "tiles": ("lss", "simulate", "new.zarr", "--tiles", "N", *THREADS),
    "particles": ("lss", "simulate", "new.zarr", "--sky", "nbody", "--particles", "N", *THREADS),
    "steps in time": ("lss", "simulate", "new.zarr", "--sky", "nbody", "--steps", "N", *THREADS),
    "images": ("stronglens", "simulate", "new.zarr", "--images", "N", *THREADS),
    "pixels of an image": ("stronglens", "simulate", "new.zarr", "--images", "3", "--size", "N", *THREADS),
}


@pytest.mark.parametrize("number", [HUGE, BEYOND])
@pytest.mark.parametrize("arguments", COUNTS.values(), ids=COUNTS)
def test_absurd_numbers_are_refused_at_once(tmp_path, monkeypatch, capfd, arguments, number):
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, *(word.replace("N", str(number)) for word in arguments)) == 2
    printed = capfd.readouterr()
    (line,) = printed.err.splitlines()
    assert line.startswith("lensdask: ")
    assert "expected" in line
    assert printed.out == ""
    assert list(tmp_path.iterdir()) == []


def test_the_disk_says_what_it_holds(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, "shear", "bias", "new", "--galaxies", 10**11, "--estimator", "fpfs", *THREADS) == 2
    # 10 numbers of 4 bytes under 4 shears.
    assert "shapes.zarr, 100000000000 galaxies: 16 TB; expected what fits on the disk at" in capfd.readouterr().err


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


READERS = {
    "scheduler file": ("shear", "bias", "new", "--galaxies", "8", "--estimator", "fpfs", "--cluster", "FILE"),
    "weights": ("shear", "bias", "new", "--galaxies", "8", "--estimator", "FILE.safetensors", *THREADS),
    "recipe": ("shear", "train", "new.safetensors", "--config", "FILE"),
    "cosmologies": ("lss", "simulate", "new.zarr", "--cosmologies", "FILE", *THREADS),
    "redshifts": ("lss", "simulate", "new.zarr", "--n-of-z", "FILE", *THREADS),
    "full skies": ("lss", "import", "FILE", "new.zarr", *THREADS),
    "footprint": ("massmap", "simulate", "new.zarr", "--fields", "1", "--footprint", "FILE", *THREADS),
    "substructure": ("stronglens", "simulate", "new.zarr", "--images", "3", "--signal", "FILE.toml", *THREADS),
}


@pytest.mark.parametrize("device", ["/dev/zero", "pipe"])
@pytest.mark.parametrize("arguments", READERS.values(), ids=READERS)
@pytest.mark.usefixtures("pipe")
def test_devices_are_no_input(tmp_path, monkeypatch, capfd, arguments, device):
    monkeypatch.chdir(tmp_path)
    for suffix in (".safetensors", ".json", ".toml"):
        (tmp_path / f"link{suffix}").symlink_to(device)
    words = [word.replace("FILE.", "link.").replace("FILE", device) for word in arguments]
    assert call(monkeypatch, *words) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "is a device, a pipe or a socket; expected" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.json", "link.safetensors", "link.toml", "pipe"]


def test_an_empty_argument_is_no_place(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    for words in (("shear", "bias", "", "--galaxies", "8"), ("shear", "bias", "new", "--galaxies", "8", "--cluster=")):
        assert call(monkeypatch, *words) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert "is empty; expected" in line
    assert list(tmp_path.iterdir()) == []
