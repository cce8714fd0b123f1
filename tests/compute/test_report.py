"""The performance report is written whenever there is a cluster, also when the run ends early."""

from dataclasses import dataclass

import distributed
import numpy as np
import pytest
from command_line import call

from lensdask.compute import Chunks, Task, performance_reported, run, start_cluster
from lensdask.errors import InputError
from lensdask.reproduce.experiment import Job, on_cluster
from lensdask.shear import RunOptions

FEW = ("shear", "bias", "run", "--galaxies", "4", "--estimator", "fpfs", "--cluster", "threads", "--workers", "1")


@dataclass(frozen=True)
class Count(Task):
    def __call__(self, start, stop, device):  # noqa: ARG002  the signature of tasks
        return None, {"count": np.array(stop - start)}


def run_small(journal, **options):
    options = RunOptions(show_progress=False, device="cpu", **options)
    return run(Count(), Chunks(4, 2), journal, options, label="counting")


def is_report(path) -> bool:
    text = path.read_text()
    return text.lstrip().startswith("<!DOCTYPE html>") and "Task Stream" in text


def test_of_a_command(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, *FEW, "--performance-report", "report.html") == 0
    assert is_report(tmp_path / "report.html")
    capfd.readouterr()
    (tmp_path / "folder.html").mkdir()
    for name, message in (("report.txt", "a file *.html"), ("nowhere/r.html", "no directory"), ("folder.html", "file")):
        assert call(monkeypatch, *FEW, "--resume", "--performance-report", name) == 2
        (line,) = capfd.readouterr().err.splitlines()
        assert line.startswith(f"lensdask: performance report {name}: ")
        assert message in line


def test_of_an_experiment_without_a_cluster(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lensdask.reproduce.run_experiment", lambda *_, **__: RESULT)
    assert call(monkeypatch, "reproduce", "d4cnn.speed", "out", "--performance-report", "report.html") == 0
    assert "no performance report: d4cnn.speed computes in this process" in capfd.readouterr().err


RESULT = {"rows": [], "run": {"quarantined": 0}, "note": ""} | dict.fromkeys(
    ("experiment", "size", "what", "source", "claim"), ""
)


def test_without_a_cluster_it_is_refused(tmp_path):
    with pytest.raises(InputError, match="no cluster; expected one to report on"):
        RunOptions(performance_report=tmp_path / "report.html")


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, InputError])
def test_of_a_block_that_ends_early(tmp_path, error):
    with start_cluster("threads", workers=1) as client:
        with pytest.raises(error), performance_reported(client, tmp_path / "report.html"):
            raise error
        assert is_report(tmp_path / "report.html")


def test_one_report_on_the_client_that_was_given(tmp_path):
    report = tmp_path / "report.html"
    with start_cluster("threads", workers=1) as client, start_cluster("threads", workers=1) as other:
        assert distributed.Client.current() is other
        result = run_small(tmp_path / "a.journal.jsonl", cluster=client, performance_report=report)
        assert result.objects == 4
        assert distributed.Client.current() is other
    assert is_report(report)
    assert "counting" in report.read_text()


def test_an_experiment_of_several_runs_has_one_report(tmp_path):
    report = tmp_path / "report.html"
    options = RunOptions(cluster="threads", workers=1, performance_report=report, show_progress=False)
    with on_cluster(Job(tmp_path, "tiny", options=options)) as job:
        for name in ("first", "second"):
            run(Count(), Chunks(4, 2), job.parts / name, job.options, label=name)
        assert not report.exists()
    assert is_report(report)
    assert all(name in report.read_text() for name in ("first", "second"))


def test_no_report_unless_asked(tmp_path):
    run_small(tmp_path / "a.journal.jsonl", cluster="threads", workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["a.journal.jsonl"]
