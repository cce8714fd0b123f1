"""What goes wrong in a run is told to its user by the command: one line, the exit code, and what comes next."""

import errno
import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from command_line import call

import lensdask
from lensdask import data
from lensdask.compute import Journal, status
from lensdask.compute.runs.journal_format import read_lines
from lensdask.data import SHAPES
from lensdask.shear.tasks import MeasureBias

GALAXIES = 98
BIAS = ("shear", "bias", "run", "--galaxies", GALAXIES, "--estimator", "fpfs", "--bootstrap", 20)
THREADS = ("--cluster", "threads", "--workers", 1)
JOURNAL = Path("run/shapes.zarr.journal.jsonl")


def outcome(folder: Path):
    """Return table, sums and rows of a bias test, to the bit."""
    table = data.open(folder / "run" / "shapes.zarr").load()
    done = [line for line, _ in read_lines(folder / JOURNAL) if line["event"] == "done"]
    sums = {line["chunk"]: line["sums"] for line in done}
    rows = json.loads((folder / "run" / "result.json").read_text())["rows"]
    return [table[name].values.tobytes() for name in SHAPES.variables], sums, rows


@pytest.fixture(scope="module")
def undisturbed_bias(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bias")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert call(patch, *BIAS, *THREADS) == 0
    return outcome(folder)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def poison(monkeypatch, error):
    """Make the chunk with galaxy 20 fail, as long as the patch holds."""
    healthy = MeasureBias.__call__

    def poisoned(self, start, stop, device):
        if start <= 20 < stop:
            raise error
        return healthy(self, start, stop, device)

    monkeypatch.setattr(MeasureBias, "__call__", poisoned)


def test_a_chunk_that_is_given_up_is_named_and_tried_again(here, monkeypatch, capfd, undisturbed_bias):
    with monkeypatch.context() as patch:
        poison(patch, RuntimeError("poisoned"))
        assert call(patch, *BIAS, *THREADS, "--json") == 1
    (fault,) = json.loads(Path("run/run.json").read_text())["quarantined"]
    chunk, start, stop = fault["chunk"], fault["start"], fault["stop"]
    assert (fault["reason"], start <= 20 < stop) == ("RuntimeError: poisoned", True)
    printed = capfd.readouterr()
    assert json.loads(printed.out)["run"]["objects"] == GALAXIES - (stop - start)
    named, summary, advice = printed.err.splitlines()
    assert named == f"bias fpfs: chunk {chunk} (galaxies {start} to {stop - 1}) was given up: RuntimeError: poisoned"
    assert summary.endswith(", 2 retries, 1 quarantined")
    assert advice == "1 chunks failed; retry them with --resume"
    # The rest is what it would have been.
    table, sums, _ = undisturbed_bias
    found, found_sums, _ = outcome(here)
    assert found_sums == {n: value for n, value in sums.items() if n != chunk}
    for one, whole in zip(found, table, strict=True):
        one, whole = (np.frombuffer(x, np.float32).reshape(GALAXIES, 4) for x in (one, whole))
        assert np.isnan(one[start:stop]).all()
        assert one[:start].tobytes() + one[stop:].tobytes() == whole[:start].tobytes() + whole[stop:].tobytes()
    assert call(monkeypatch, "status", "run") == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("bias fpfs: finished except for quarantined chunks; retry them with --resume")
    assert lines[-1] == f"  chunk {chunk}, galaxies {start} to {stop - 1}: RuntimeError: poisoned"
    assert call(monkeypatch, *BIAS, *THREADS, "--resume", "--json") == 0
    record = json.loads(capfd.readouterr().out)["run"]
    assert (record["objects"], record["sessions"]) == (stop - start, 2)
    assert record["wall_s_of_sessions"] > record["wall_s"]
    assert outcome(here) == undisturbed_bias


def test_a_full_disk(here, monkeypatch, capfd, undisturbed_bias):
    with monkeypatch.context() as patch:
        poison(patch, OSError(errno.ENOSPC, "No space left on device"))
        assert call(patch, *BIAS, *THREADS) == 3
    printed = capfd.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    done, chunks = status("run").done, status("run").chunks
    assert 1 <= done < chunks
    place = here / "run" / "shapes.zarr"
    advice = f"no space left on the device, {done} of {chunks} chunks done; free some space and continue with --resume"
    assert line == f"lensdask: {place}: {advice}"
    assert not Path("run/result.json").exists()
    assert call(monkeypatch, *BIAS, *THREADS, "--resume") == 0
    assert outcome(here) == undisturbed_bias


def test_a_full_disk_under_the_results(here, monkeypatch, capfd):
    few, write = ("shear", "bias", "run", "--galaxies", 4, "--estimator", "fpfs", *THREADS), Path.write_text

    def full(self, text):
        # The store finds room yet.
        if self.name == "zarr.json":
            return write(self, text)
        self.write_bytes(text[:10].encode())
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        assert call(patch, *few) == 3
    assert capfd.readouterr().err.splitlines()[-1] == "lensdask: run/run.json: No space left on device"
    assert {path.name for path in (here / "run").iterdir()} == {"shapes.zarr", JOURNAL.name}
    assert call(monkeypatch, *few, "--resume", "--json") == 0
    assert json.loads(capfd.readouterr().out)["run"]["objects"] == 0


@pytest.mark.usefixtures("here")
def test_a_second_run_in_one_place_is_refused_and_harms_nothing(monkeypatch, capfd):
    few = ("shear", "bias", "run", "--galaxies", 4, "--estimator", "fpfs", *THREADS)
    assert call(monkeypatch, *few) == 0
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    capfd.readouterr()
    with Journal(JOURNAL):
        assert status("run").running
        for how in ("--resume", "--overwrite"):
            assert call(monkeypatch, *few, how) == 2
            (line,) = capfd.readouterr().err.splitlines()
            assert line.endswith(
                f"{JOURNAL.name}: another run is writing here; wait for it to finish or choose another path"
            )
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before


@pytest.mark.usefixtures("here")
def test_a_figure_that_is_being_reproduced_is_not_replaced(monkeypatch, capfd):
    parts = Path("out/parts/noise")
    parts.mkdir(parents=True)
    marker = {"experiment": "d4cnn.table3", "size": "tiny", "seed": 0}
    Path("out/experiment.json").write_text(json.dumps(marker))
    with Journal(parts / "comparison.journal.jsonl") as journal:
        journal.begin({"fingerprint": "f", "size": 8, "chunk": 8, "label": "compare", "unit": "galaxies"})
        journal.begin_session()
        for how in ("--resume", "--overwrite"):
            assert call(monkeypatch, "reproduce", "d4cnn.table3", "out", "--size", "tiny", how, *THREADS) == 2
            (line,) = capfd.readouterr().err.splitlines()
            assert "another run is writing here" in line
        assert journal.path.exists()
    assert json.loads(Path("out/experiment.json").read_text()) == marker


@pytest.mark.parametrize("error", [TimeoutError(), TimeoutError("no answer from the scheduler in 30 s")])
@pytest.mark.usefixtures("here")
def test_a_scheduler_that_does_not_answer(monkeypatch, capfd, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("lensdask.shear.runs.run", fail)
    assert call(monkeypatch, *BIAS, *THREADS) == 3
    (line,) = capfd.readouterr().err.splitlines()
    assert line == f"lensdask: {str(error) or 'TimeoutError'}"


def test_exit_codes_are_in_the_help(monkeypatch, capfd):
    monkeypatch.setenv("COLUMNS", "200")
    assert call(monkeypatch, "--help") == 0
    printed = " ".join(capfd.readouterr().out.split())
    for code in ("0 done", "1 finished but for chunks that were given up", "2 bad input", "3 stopped from outside"):
        assert code in printed


def test_the_scheduler_is_lost(here, monkeypatch, capfd):
    """A report that cannot be written any more does not hide why the run ended."""
    run = importlib.import_module("lensdask.compute.runs.engine")
    attempt_all = run.attempt_all

    def lost(executor, *arguments):
        executor._client.cluster.close()
        return attempt_all(executor, *arguments)

    monkeypatch.setattr(run, "attempt_all", lost)
    few = ("shear", "bias", "run", "--galaxies", 4, "--estimator", "fpfs", *THREADS)
    assert call(monkeypatch, *few, "--performance-report", "report.html") == 3
    lines = capfd.readouterr().err.splitlines()
    assert lines[-1] == "lensdask: the scheduler was lost; continue with --resume"
    assert lines[-2].startswith("performance report report.html was not written: ")
    assert not (here / "report.html").exists()
    # The next computation of this process is not sent to the scheduler that is gone.
    with pytest.warns(UserWarning, match="chunks are missing"):
        shapes = lensdask.open("run/shapes.zarr")
    assert shapes["e1"].isnull().all().compute()
