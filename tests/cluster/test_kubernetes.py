"""Kubernetes: the manifests hang together, and their commands run, as processes on loopback."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from dask.utils import parse_bytes

SECRET = "/etc/lensdask-tls"


@pytest.fixture(scope="session")
def manifests(cluster):
    """Return the DaskCluster and the Job."""
    return list(yaml.safe_load_all((cluster / "kubernetes.yaml").read_text()))


@pytest.fixture(scope="session")
def pods(manifests):
    """Return the specification of each pod."""
    dask, job = manifests
    spec = dask["spec"]
    return {
        "scheduler": spec["scheduler"]["spec"],
        "worker": spec["worker"]["spec"],
        "job": job["spec"]["template"]["spec"],
    }


def settings(pod) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"]}


def test_kinds(manifests):
    assert [m["apiVersion"] for m in manifests] == ["kubernetes.dask.org/v1", "batch/v1"]
    assert [m["kind"] for m in manifests] == ["DaskCluster", "Job"]


def test_service_leads_to_the_scheduler(manifests, pods):
    dask = manifests[0]
    service = dask["spec"]["scheduler"]["service"]
    # Labels that the operator gives to the pod of the scheduler.
    assert service["selector"] == {
        "dask.org/cluster-name": dask["metadata"]["name"],
        "dask.org/component": "scheduler",
    }
    (port,) = service["ports"]
    assert port["targetPort"] in {p["name"] for p in pods["scheduler"]["containers"][0]["ports"]}
    address = f"tls://{dask['metadata']['name']}-scheduler:{port['port']}"
    assert settings(pods["worker"])["DASK_SCHEDULER_ADDRESS"] == address
    job = pods["job"]["containers"][0]["args"]
    assert job[job.index("--cluster") + 1] == address


@pytest.mark.parametrize("pod", ["scheduler", "worker", "job"])
def test_pods_have_certificates_and_no_privileges(pods, pod):
    spec = pods[pod]
    (container,) = spec["containers"]
    assert settings(spec)["DASK_CONFIG"] == f"{SECRET}/dask.yaml"
    mounted = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert mounted["tls"] == {"name": "tls", "mountPath": SECRET, "readOnly": True}
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    assert set(volumes) == set(mounted)
    assert volumes["tls"]["secret"]["defaultMode"] & 0o007 == 0
    assert spec["securityContext"]["runAsNonRoot"] is True
    # The files belong to the group of the pod.
    assert spec["securityContext"]["fsGroup"] == spec["securityContext"]["runAsGroup"] > 0
    assert spec["automountServiceAccountToken"] is False
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_results_have_one_path(pods):
    paths = {
        mount["mountPath"]
        for pod in ("worker", "job")
        for mount in pods[pod]["containers"][0]["volumeMounts"]
        if mount["name"] == "runs"
    }
    (path,) = paths
    (run,) = [argument for argument in pods["job"]["containers"][0]["args"] if argument.startswith("/")]
    assert run.startswith(f"{path}/")


def test_workers_have_a_gpu_each_and_stay_below_their_limit(pods):
    container = pods["worker"]["containers"][0]
    limits, args = container["resources"]["limits"], container["args"]
    assert limits["nvidia.com/gpu"] == 1
    assert args[args.index("--nworkers") + 1] == args[args.index("--nthreads") + 1] == "1"
    assert parse_bytes(args[args.index("--memory-limit") + 1]) < parse_bytes(limits["memory"] + "B")


def test_image_is_one(pods):
    assert len({pod["containers"][0]["image"] for pod in pods.values()}) == 1


class Node:
    """Starts the containers of pods as processes, with the places that differ put right."""

    def __init__(self, environment, folder: Path, home: Path):
        # An address of this process alone: whatever else runs here has another one.
        self.host = f"127.{os.getpid() >> 16 & 255}.{os.getpid() >> 8 & 255}.{max(os.getpid() & 255, 2)}"
        self.environment, self.folder = environment, folder
        self.places = {
            SECRET: str(home / ".lensdask-tls"),
            "lensdask-scheduler": self.host,
            "/runs": str(folder),
            "$(DASK_WORKER_NAME)": "lensdask-default-worker-1",
        }

    def here(self, text: str) -> str:
        for there, here in self.places.items():
            text = text.replace(there, here)
        return text

    def start(self, pod, *more: str) -> subprocess.Popen:
        (container,) = pod["containers"]
        own = {name: self.here(value) for name, value in settings(pod).items() if name != "HOME"}
        with (self.folder / f"{container['name']}.log").open("wb") as log:
            return subprocess.Popen(
                [*map(self.here, container["args"]), *more],
                env=self.environment | own,
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )


def stop(process: subprocess.Popen) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=30)


def test_commands_run_over_tls(pods, environment, home, tmp_path, check_results):
    node = Node(environment, tmp_path, home)
    scheduler = node.start(pods["scheduler"], "--host", node.host)
    worker = node.start(pods["worker"], "--host", node.host)
    try:
        until = time.monotonic() + 60
        while "Scheduler at" not in (tmp_path / "scheduler.log").read_text() and time.monotonic() < until:
            time.sleep(0.1)
        # The last options count: a run of seconds on a CPU.
        job = node.start(pods["job"], "--galaxies", "8", "--estimator", "fpfs", "--device", "cpu", "--json")
        output, _ = job.communicate(timeout=100)
    finally:
        stop(worker)
        stop(scheduler)
    assert job.returncode == 0, (tmp_path / "lensdask.log").read_text()
    assert json.loads(output)["run"]["objects"] == 8
    check_results(tmp_path / "bias", node.host)
