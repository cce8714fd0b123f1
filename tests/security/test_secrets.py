"""What a run leaves behind names the run, and nothing of whoever ran it."""

import getpass
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from astropy.io import fits

from lensdask.data import save_weights
from lensdask.shear.shapes.d4cnn import D4CNN, D4CNNConfig, describe
from lensdask.shear.simulation.catsim import mock_galaxies

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI-sentinel",
    "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY": "/home/somebody-sentinel/key.pem",
    "HTTPS_PROXY": "http://user:hunter2-sentinel@proxy.example.org:3128",
    "HOME": "/home/somebody-sentinel",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the directory of a run with a catalogue and a network of the user's, these two, and what it printed."""
    folder = tmp_path_factory.mktemp("secrets")
    catalogue, network = folder / "catalogue.fits", folder / "network.safetensors"
    fits.BinTableHDU(mock_galaxies(0, range(50), 25.0)).writeto(catalogue)
    config = D4CNNConfig(channels=(4,), strides=(1,), hidden=4, grid_points=12)
    save_weights(network, D4CNN(config).state_dict(), describe(config))
    inputs = ["--catalogue", catalogue.name, "--estimator", network.name, "--noise-sigma", "0"]
    command = ["shear", "bias", "run", "--galaxies", "8", *inputs, "--cluster", "threads", "--workers", "1", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", "from lensdask.cli import main; main()", *command],
        cwd=folder,
        env=os.environ | SECRETS | {"OMP_NUM_THREADS": "1", "MPLCONFIGDIR": str(folder / "matplotlib")},
        capture_output=True,
        text=True,
        check=True,
    )
    return folder / "run", {str(catalogue), str(network)}, done.stdout


def own_names() -> list[str]:
    """Return names of this machine and user that are long enough to be told from ordinary words."""
    names = [socket.gethostname(), getpass.getuser(), str(Path.home())]
    return [name for name in names if len(name) > 5]


def test_files_hold_no_secrets(run):
    folder, inputs, printed = run
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {"result.json", "run.json", "shapes.zarr/zarr.json", "shapes.zarr.journal.jsonl"} <= set(files)
    for name, content in (files | {"stdout": printed.encode()}).items():
        # Where the inputs lie is on record, whoever's home that is.
        for path in inputs:
            content = content.replace(path.encode(), b"")
        found = [secret for secret in ("sentinel", "hunter2", "127.0.0.1", *own_names()) if secret.encode() in content]
        # Journals hold numbers as hexadecimal text, and pictures are compressed: no word arises by chance.
        assert not found, f"{name} holds {found}"


def test_configuration_holds_no_path_but_the_inputs(run):
    folder, inputs, _ = run
    record = json.loads((folder / "run.json").read_text())

    def texts(value) -> list[str]:
        if isinstance(value, dict):
            return [text for entry in value.values() for text in texts(entry)]
        if isinstance(value, list):
            return [text for entry in value for text in texts(entry)]
        return [value] if isinstance(value, str) else []

    assert {text for text in texts(record) if text.startswith(("/", "~", "tcp:", "tls:"))} == inputs


@pytest.mark.parametrize("cluster", ["tls://me:hunter2@gateway.example.org:8786", "tcp://me:hunter2@127.0.0.1:1"])
def test_no_password_is_printed(tmp_path, monkeypatch, capsys, cluster):
    from lensdask.cli import main

    monkeypatch.chdir(tmp_path)
    command = ["lensdask", "shear", "bias", "run", "--galaxies", "8", "--estimator", "fpfs", "--cluster", cluster]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    output = capsys.readouterr()
    assert "hunter2" not in output.out + output.err
    assert len(output.err.splitlines()) == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
