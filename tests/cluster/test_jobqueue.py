"""dask-jobqueue: the job script says what the configuration does, and the example runs, with stand-ins for SLURM."""

import json
import re
import shutil
import subprocess
import sys
from importlib.resources import files

import pytest
import yaml
from dask.utils import parse_bytes, parse_timedelta


@pytest.fixture
def user(cluster, home, environment):
    """Return the environment of a user who has copied the configuration as it says."""
    target = home / ".config" / "dask" / "jobqueue.yaml"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(cluster / "jobqueue.yaml", target)
    # Of the test: nothing beyond loopback. The rest of the options is the configuration's.
    return environment | {"DASK_JOBQUEUE__SLURM__SCHEDULER_OPTIONS__HOST": "127.0.0.1"}


PROBE = """
import json, psutil
from dask_jobqueue import SLURMCluster
with SLURMCluster() as cluster:
    listening = [c.laddr.ip for c in psutil.Process().net_connections("inet") if c.status == psutil.CONN_LISTEN]
    print(json.dumps([cluster.job_script(), cluster.scheduler_address, listening]))
"""


def test_job_script(user, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error::FutureWarning", "-c", PROBE],
        env=user,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    script, address, listening = json.loads(done.stdout)
    assert address.startswith("tls://127.0.0.1:")
    assert set(listening) == {"127.0.0.1"}
    lines = script.splitlines()
    assert {"#SBATCH --gpus=1", "#SBATCH -n 1", "#SBATCH --cpus-per-task=4", "#SBATCH --mem=16G"} <= set(lines)
    assert 'export DASK_CONFIG="$HOME/.lensdask-tls/dask.yaml"' in lines
    command = lines[-1]
    assert f"-m distributed.cli.dask_worker {address} " in command
    given = dict(re.findall(r"--([\w-]+)(?: ([^-\s]\S*))?", command))
    assert (given["nthreads"], given["dashboard-address"]) == ("1", "127.0.0.1:0")
    assert {"nanny", "no-dashboard"} <= set(given)
    assert parse_bytes(given["memory-limit"]) == 14 * 2**30 < 16 * 2**30
    hours, minutes, _ = map(int, re.search(r"#SBATCH -t (\d+):(\d+):(\d+)", script).groups())
    longest = parse_timedelta(given["lifetime"]) + parse_timedelta(given["lifetime-stagger"])
    assert longest <= 3600 * hours + 60 * minutes - 120


def test_configuration_has_no_unknown_keys(cluster):
    known = yaml.safe_load((files("dask_jobqueue") / "jobqueue.yaml").read_text())["jobqueue"]["slurm"]
    ours = yaml.safe_load((cluster / "jobqueue.yaml").read_text())
    assert list(ours) == ["jobqueue"]
    assert set(ours["jobqueue"]["slurm"]) <= set(known)


def test_example(cluster, user, tmp_path, check_results):
    text = (cluster / "jobqueue_run.py").read_text()
    changes = {"galaxies=1_000_000": "galaxies=8", 'estimator="d4cnn"': 'estimator="fpfs"', '"cuda"': '"cpu"'}
    for there, here in changes.items():
        assert there in text
        text = text.replace(there, here)
    (tmp_path / "example.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "example.py"],
        env=user,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Bias(" in done.stdout
    check_results(tmp_path / "run")
