"""Certificates, and a machine to try the files of cluster/ on: this one, on loopback, with stand-ins for SLURM."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CLUSTER = Path(__file__).parents[2] / "cluster"

SECRETS = {"AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI-sentinel", "LENSDASK_TEST_TOKEN": "token-sentinel"}

# Just enough of SLURM: an array is one job, and a job is a process.
STAND_INS = {
    "sbatch": """
[[ $1 != --parsable ]] || { parsable=1; shift; }
# dask-jobqueue deletes the script that it submits, and names no address to bind to.
sed 's/ --nthreads / --host 127.0.0.1 --nthreads /' "$1" >"$1.job" && cp "$1.job" job.sh && shift
setsid bash job.sh "$@" >workers.log 2>&1 &
[[ -n ${parsable:-} ]] && echo $! || echo "Submitted batch job $!"
""",
    "srun": 'while [[ $1 == --* ]]; do shift; done; exec "$@"',
    "scancel": 'kill -- -"$1"',
    "scontrol": 'echo "$@" >scontrol.log',
}


@pytest.fixture(scope="session")
def cluster():
    """Return the folder that is tested."""
    return CLUSTER


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """Return a home directory with certificates in it, made as the README says."""
    folder = tmp_path_factory.mktemp("home")
    script = [sys.executable, CLUSTER / "make_certificates.py", folder / ".lensdask-tls"]
    subprocess.run(script, check=True, capture_output=True)
    return folder


@pytest.fixture
def environment(home, tmp_path):
    """Return the environment of a node of a cluster."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name, content in STAND_INS.items():
        (bin_ / name).write_text(f"#!/usr/bin/env bash\n{content.strip()}\n")
        (bin_ / name).chmod(0o755)
    own = {
        "PATH": os.pathsep.join([str(bin_), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(home),
        "DASK_CONFIG": str(home / ".lensdask-tls" / "dask.yaml"),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
        "SLURMD_NODENAME": "127.0.0.1",
        "SLURM_JOB_ID": "7",
        "SLURM_CPUS_PER_TASK": "4",
    }
    return os.environ | own | SECRETS


@pytest.fixture
def check_results(home):
    """Return a check that a run directory is complete, and keeps the secrets of the machine it was made on."""

    def check(run: Path, *addresses: str) -> None:
        files = [path for path in run.rglob("*") if path.is_file()]
        assert {"result.json", "run.json", "shapes.zarr.journal.jsonl"} <= {path.name for path in files}
        key = (home / ".lensdask-tls" / "key.pem").read_bytes().splitlines()[1]
        secrets = [str(home).encode(), b"127.0.0.1", key, *(value.encode() for value in SECRETS.values())]
        for path in files:
            content = path.read_bytes()
            assert not [secret for secret in (*secrets, *map(str.encode, addresses)) if secret in content], path

    return check
