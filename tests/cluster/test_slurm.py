"""SLURM: the job scripts ask for what they use, and run as they are, with stand-ins for SLURM's commands."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from dask.utils import parse_bytes, parse_timedelta

SCRIPTS = ("run.sh", "workers.sh")


def directives(text: str) -> dict[str, str]:
    """Return the options of sbatch in a script."""
    return dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(\S+))?$", text, re.MULTILINE))


def options(text: str) -> dict[str, str]:
    """Return the options of dask worker in a script."""
    return dict(re.findall(r" --([\w-]+)(?: ([^-\s]\S*))?", text[text.index("dask worker") :]))


def seconds(walltime: str) -> int:
    hours, minutes, rest = map(int, walltime.split(":"))
    return 3600 * hours + 60 * minutes + rest


@pytest.fixture(scope="session")
def worker(cluster):
    """Return the script of the workers."""
    return (cluster / "slurm" / "workers.sh").read_text()


@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck(cluster, script):
    shellcheck = shutil.which("shellcheck", path=Path(sys.executable).parent) or shutil.which("shellcheck")
    assert shellcheck, "shellcheck is missing; expected the extra dev"
    done = subprocess.run([shellcheck, cluster / "slurm" / script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_directive_is_read(cluster, script):
    text = (cluster / "slurm" / script).read_text()
    # SLURM stops reading at the first command, and takes a directive it cannot parse for a comment.
    head, _, rest = text.partition("set -euo pipefail")
    assert len(directives(head)) == text.count("#SBATCH") >= 5
    assert "#SBATCH" not in rest


def test_workers_leave_before_they_are_killed(worker):
    asked, given = directives(worker), options(worker)
    longest = parse_timedelta(given["lifetime"]) + parse_timedelta(given["lifetime-stagger"])
    assert 0 < longest <= seconds(asked["time"]) - 120
    task = int(asked["cpus-per-task"]) * parse_bytes(asked["mem-per-cpu"] + "iB")
    assert parse_bytes(given["memory-limit"]) < task


def test_one_worker_for_each_gpu(worker):
    asked, given = directives(worker), options(worker)
    assert (asked["gpus-per-task"], given["nworkers"], given["nthreads"]) == ("1", "1", "1")
    # Since SLURM 22.05 srun does not inherit it: four workers would share one core.
    assert 'srun --cpus-per-task="$SLURM_CPUS_PER_TASK" dask worker' in worker


def test_the_leading_job_comes_again(cluster):
    asked = directives((cluster / "slurm" / "run.sh").read_text())
    assert {"requeue", "signal"} <= set(asked)
    assert seconds(asked["time"]) > int(asked["signal"].rpartition("@")[2]) > 60


def test_memory_is_asked_for_in_one_way(cluster):
    """Workers inherit the environment of the leading job, and SLURM refuses memory per node and per core at once."""
    asked = [set(directives((cluster / "slurm" / script).read_text())) for script in SCRIPTS]
    assert all("mem-per-cpu" in one and "mem" not in one for one in asked)


def test_workers_last_as_long_as_the_leading_job(cluster, worker):
    leader, asked, given = directives((cluster / "slurm" / "run.sh").read_text()), directives(worker), options(worker)
    jobs, at_once = map(int, re.fullmatch(r"1-(\d+)%(\d+)", asked["array"]).groups())
    shortest = parse_timedelta(given["lifetime"]) - parse_timedelta(given["lifetime-stagger"])
    assert jobs // at_once * shortest >= seconds(leader["time"])


def start(cluster, folder, environment, *arguments):
    for script in SCRIPTS:
        shutil.copy(cluster / "slurm" / script, folder)
    command = ["bash", "run.sh", *arguments]
    # Errors of Dask's own shutdown are not ours to judge; the exit code and the files are.
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100
    )


def test_a_run_over_tls(cluster, tmp_path, environment, check_results):
    arguments = ("shear", "bias", "run", "--galaxies", "16", "--estimator", "fpfs", "--device", "cpu", "--json")
    done = start(cluster, tmp_path, environment, *arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout)["run"]["objects"] == 16
    check_results(tmp_path / "run")
    scheduler = re.findall(r"Scheduler at: +(\S+)", done.stderr)
    assert scheduler
    assert all(address.startswith("tls://127.0.0.1:") for address in scheduler)
    assert "dashboard at:  http://localhost:" in done.stderr
    # Its own dashboard, its port and its nanny's.
    log = (tmp_path / "workers.log").read_text()
    listening = re.findall(r"(?:Start Nanny at: '|Listening to: +|dashboard at: +)(\S+)", log)
    assert len(listening) >= 3
    assert all(re.match(r"tls://127\.0\.0\.1:|127\.0\.0\.1:", address) for address in listening)
    assert not list(tmp_path.glob("*.scheduler.json"))


# The last one is told, as SLURM tells the script, that its time is nearly over.
@pytest.mark.parametrize(
    ("lensdask", "code", "requeued"), [("exit 2", 2, ""), ("kill -USR1 $PPID; exec sleep 60", 138, "requeue 7\n")]
)
def test_a_run_that_ends_early_leaves_no_workers(cluster, tmp_path, environment, lensdask, code, requeued):
    (tmp_path / "bin" / "lensdask").write_text(f"#!/usr/bin/env bash\n{lensdask}\n")
    (tmp_path / "bin" / "lensdask").chmod(0o755)
    (tmp_path / "bin" / "srun").write_text("#!/usr/bin/env bash\necho $$ >pid\nexec sleep 60\n")
    done = start(cluster, tmp_path, environment, "shear", "bias", "run", "--galaxies", "16")
    assert done.returncode == code
    log = tmp_path / "scontrol.log"
    assert (log.read_text() if log.exists() else "") == requeued
    pid = int((tmp_path / "pid").read_text())
    # Gone, or dead and not yet collected by whoever adopted it.
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_without_certificates(cluster, tmp_path, environment):
    del environment["DASK_CONFIG"]
    done = start(cluster, tmp_path, environment, "shear", "bias", "run", "--galaxies", "16")
    assert done.returncode != 0
    assert "expected the dask.yaml" in done.stderr


def test_any_command_runs(cluster, tmp_path, environment):
    """The command comes as it is given, with the cluster and GPUs."""
    (tmp_path / "bin" / "lensdask").write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@" >arguments\n')
    (tmp_path / "bin" / "lensdask").chmod(0o755)
    given = ["massmap", "simulate", "my maps.zarr", "--fields", "8"]
    assert start(cluster, tmp_path, environment, *given).returncode == 0
    scheduler = str(tmp_path / "lensdask-7.scheduler.json")
    expected = [*given, "--device", "cuda", "--cluster", scheduler, "--resume"]
    assert (tmp_path / "arguments").read_text().splitlines() == expected


def test_without_a_command(cluster, tmp_path, environment):
    done = start(cluster, tmp_path, environment)
    assert done.returncode != 0
    assert "expected a command of lensdask" in done.stderr
