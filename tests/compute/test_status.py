"""How far a run is, by its journal alone: counts, rate, time left, quarantined chunks, and whether it is at work."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from command_line import call

from lensdask.compute import (
    NOT_IDENTITY,
    Chunks,
    Journal,
    RunOptions,
    Task,
    find_journals,
    journal_path,
    require_finished,
    run,
    start_cluster,
    status,
)
from lensdask.compute.runs.journal_format import line_of
from lensdask.errors import InputError

SIZE, CHUNK = 95, 10
T0 = 1_700_000_000.0


def journal_of(path: Path, *lines) -> Path:
    """Write a journal as it is described: of 95 maps in chunks of 10."""
    header = {"event": "run", "version": 1, "fingerprint": "f", "size": SIZE, "chunk": CHUNK}
    content = [header | {"label": "a run", "unit": "maps"}, *lines]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in content))
    return path


def session(seconds):
    return {"event": "session", "time": T0 + seconds}


def done(seconds, *chunks):
    return [{"event": "done", "time": T0 + seconds, "chunk": n, "sums": None} for n in chunks]


def given_up(seconds, chunk):
    return {"event": "given up", "time": T0 + seconds, "chunk": chunk, "reason": "OSError: no such file"}


@pytest.fixture
def stopped(tmp_path):
    """Two sessions of 20 s and 10 s a day apart; chunk 9 has five maps, chunk 4 was given up."""
    second = 86_400
    return journal_of(
        tmp_path / "run" / "shapes.zarr.journal.jsonl",
        session(0),
        *done(5, 0, 9),
        given_up(20, 2),
        session(second),
        *done(second + 4, 2),
        given_up(second + 6, 4),
        *done(second + 10, 1, 3),
    )


def test_a_stopped_run(stopped):
    found = status(stopped)
    assert (found.label, found.unit, found.running) == ("a run", "maps", False)
    assert (found.chunks, found.done, found.left) == (10, 5, 4)
    assert (found.objects, found.objects_done) == (95, 45)
    # Thirty maps in the ten seconds of the last session; the day before it is not work, and chunk 2 is mended.
    assert found.rate == pytest.approx(3.0)
    assert found.eta_s == pytest.approx(40 / 3.0)
    assert (found.sessions, found.wall_s) == (2, pytest.approx(30.0))
    assert found.updated == T0 + 86_410
    (fault,) = found.quarantined
    assert (fault.chunk, fault.start, fault.stop, fault.reason) == (4, 40, 50, "OSError: no such file")


def test_a_new_session_tries_again_what_was_given_up(stopped):
    lines = stopped.read_text() + json.dumps(session(90_000)) + "\n"
    stopped.write_text(lines)
    found = status(stopped)
    assert (found.left, found.quarantined) == (5, ())
    assert (found.rate, found.eta_s) == (None, None)


def test_a_clock_that_was_put_back_gives_no_rate(tmp_path):
    found = status(journal_of(tmp_path / "a.journal.jsonl", session(100), *done(0, 0, 1)))
    assert (found.done, found.rate, found.eta_s, found.wall_s) == (2, None, None, 0.0)


@pytest.mark.parametrize("tail", [b"", b'{"event": "done", "time": 17', b"\0\0\n"])
def test_a_line_that_is_being_written_does_not_count(stopped, tail):
    stopped.write_bytes(stopped.read_bytes() + tail)
    assert status(stopped).done == 5


def test_it_is_found_by_directory_store_and_journal(stopped, monkeypatch):
    store = stopped.parent / "shapes.zarr"
    (store / "e1" / "c").mkdir(parents=True)
    (store / "zarr.json").write_text("{}")
    # Inside a store nobody looks: it may have a million files.
    (store / "e1" / "other.journal.jsonl").write_text("")
    for path in (stopped, stopped.parent, store, f"{store}/"):
        assert status(path).journal == stopped
    monkeypatch.chdir(stopped.parent)
    assert status(".").done == status("shapes.zarr").done == 5
    monkeypatch.chdir(store)
    assert status(".").journal == stopped
    monkeypatch.chdir(store / "e1")
    with pytest.raises(InputError, match="no journal"):
        status("c")


def test_a_store_of_an_unfinished_run_is_refused(stopped, tmp_path):
    message = r"shapes.zarr: 45 of 95 maps done; expected a finished run: continue make maps with if_exists=\"resume\""
    with pytest.raises(InputError, match=message):
        require_finished(stopped.parent / "shapes.zarr", "make maps")
    journal_of(tmp_path / "whole.zarr.journal.jsonl", session(0), *done(1, *range(10)))
    require_finished(tmp_path / "whole.zarr", "make maps")
    # Who wrote it without a run, or took the store without its journal, is not asked.
    require_finished(tmp_path / "other.zarr", "make maps")
    with Journal(stopped), pytest.raises(InputError, match="maps done; a process is at work on it; expected"):
        require_finished(stopped.parent / "shapes.zarr", "make maps")


def test_several_runs_of_one_figure(stopped, monkeypatch, capfd):
    other = journal_of(
        stopped.parent / "parts" / "noise" / "comparison.journal.jsonl", session(0), *done(1, *range(10))
    )
    assert find_journals(stopped.parent) == [stopped, other]
    with pytest.raises(InputError, match="2 runs; expected one"):
        status(stopped.parent)
    assert call(monkeypatch, "status", stopped.parent, "--json") == 0
    printed = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [one["journal"] for one in printed] == [str(stopped), str(other)]
    assert [one["left"] for one in printed] == [4, 0]
    assert printed[0]["quarantined"] == [{"chunk": 4, "start": 40, "stop": 50, "reason": "OSError: no such file"}]
    assert printed[0]["rate"] == pytest.approx(3.0)


def test_what_is_printed(stopped, monkeypatch, capfd):
    assert call(monkeypatch, "status", stopped.parent) == 0
    assert capfd.readouterr().out.splitlines() == [
        f"a run: stopped; continue with --resume  ({stopped})",
        "  chunks: 5 of 10 done, 4 left, 1 quarantined",
        "  maps: 45 of 95, 3 per s",
        "  time: 0:00:30 of work in 2 sessions, 0:00:13 left",
        "  chunk 4, maps 40 to 49: OSError: no such file",
    ]
    journal_of(stopped, session(0), *done(95, *range(10)))
    assert call(monkeypatch, "status", stopped) == 0
    assert capfd.readouterr().out.splitlines() == [
        f"a run: finished  ({stopped})",
        "  chunks: 10 of 10 done, 0 left",
        "  maps: 95 of 95, 1 per s",
        "  time: 0:01:35 of work",
    ]


MISTAKES = {
    "nothing there": (lambda folder: folder / "nowhere", "no such file or directory"),
    "no run": (lambda folder: folder, "no journal of a run here"),
    "another file": (lambda folder: folder / "text", "no journal of a run here"),
    "empty": (lambda folder: folder / "empty.journal.jsonl", "empty; expected"),
    "older": (lambda folder: folder / "older.journal.jsonl", "version 0; this lensdask reads 2"),
    "damaged": (lambda folder: folder / "damaged.journal.jsonl", "line 2 is damaged"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_line(tmp_path, monkeypatch, capfd, mistake):
    where, message = MISTAKES[mistake]
    path = where(tmp_path)
    if path.suffix == ".jsonl":
        journal_of(path, session(0), *done(1, 0))
        whole = path.read_text().splitlines(keepends=True)
        path.write_text(
            {"empty": "", "older": '{"size": 1, "chunk": 1}\n', "damaged": whole[0] + "{\n" + whole[1]}[mistake]
        )
    if mistake == "another file":
        path.write_text("")
    with pytest.raises(InputError, match=message):
        status(path)
    assert call(monkeypatch, "status", path, "--json") == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith(f"lensdask: {path}: ")
    assert message in line


@dataclass(frozen=True)
class Waits(Task):
    """Chunks that take a while, except that some fail."""

    sleep: float = field(metadata=NOT_IDENTITY)
    fails: tuple[int, ...] = field(metadata=NOT_IDENTITY)

    def __call__(self, start, stop, device):  # noqa: ARG002  the signature of tasks
        if start in self.fails:
            raise RuntimeError("fails on purpose")
        time.sleep(self.sleep)
        return None, {"count": np.array(stop - start)}


def start_run(path, sleep=0.0, fails=(), size=SIZE, client=None, **options):
    settings = RunOptions(cluster=client, show_progress=False, **options)
    return run(Waits(sleep, tuple(fails)), Chunks(size, CHUNK, "galaxies"), path, settings, label="waiting")


def test_a_run_at_work_is_watched_from_within(tmp_path, monkeypatch):
    path, seen = tmp_path / "a.journal.jsonl", []
    append = Journal.append

    def watched(self, chunk, sums):
        append(self, chunk, sums)
        seen.append(status(path))

    monkeypatch.setattr(Journal, "append", watched)
    start_run(path, sleep=0.03)
    assert [one.running for one in seen] == [True] * 10
    assert [one.done for one in seen] == list(range(1, 11))
    assert [one.left for one in seen] == list(range(9, -1, -1))
    # Nine chunks of ten in at least 0.03 s each; the sum is coarse on a busy machine, never too fast.
    assert 0 < seen[8].rate < 10 / 0.03
    assert seen[-1].eta_s == 0.0
    after = status(path)
    assert (after.running, after.done, after.objects_done) == (False, 10, 95)


def test_quarantine_and_resume(tmp_path):
    path = tmp_path / "a.journal.jsonl"
    result = start_run(path, fails=[20, 90], attempts=2)
    found = status(path)
    assert found.quarantined == result.quarantined
    assert [(q.chunk, q.start, q.stop) for q in found.quarantined] == [(2, 20, 30), (9, 90, 95)]
    assert {q.reason for q in found.quarantined} == {"RuntimeError: fails on purpose"}
    assert (found.done, found.left, found.objects_done) == (8, 0, 80)
    result = start_run(path, fails=[90], attempts=2, if_exists="resume")
    assert status(path).quarantined == result.quarantined == found.quarantined[1:]
    result = start_run(path, if_exists="resume")
    assert (status(path).quarantined, status(path).done) == ((), 10)
    assert result.sessions == status(path).sessions == 3
    assert result.objects == 5


def test_times_of_a_resumed_run_leave_out_what_lay_between(tmp_path):
    path = tmp_path / "a.journal.jsonl"
    first = start_run(path, sleep=0.02, fails=[0])
    assert (first.sessions, first.wall_s_of_sessions) == (1, first.wall_s)
    time.sleep(1.0)
    second = start_run(path, if_exists="resume")
    assert 9 * 0.02 + second.wall_s <= second.wall_s_of_sessions <= first.wall_s + second.wall_s + 2e-3
    assert second.record()["sessions"] == 2
    assert second.record()["wall_s"] == second.wall_s


def test_a_journal_of_a_survey_is_read_about_as_fast_as_its_lines_are_parsed(tmp_path):
    path, chunks = tmp_path / "a.journal.jsonl", 20_000
    sums = {"shapes": np.random.default_rng(0).normal(size=(1, 4, 30))}
    with Journal(path) as journal:
        header = {"fingerprint": "f", "size": chunks * 2048, "chunk": 2048, "label": "a", "unit": "b"}
        journal.begin(header)
        journal.begin_session()
        journal.append(0, sums)
    text = path.read_bytes().splitlines(keepends=True)
    with path.open("ab") as file:
        line = json.loads(text[2])
        del line["crc32"]
        file.writelines(line_of(line | {"chunk": n}) for n in range(1, chunks))
    assert 35e6 < path.stat().st_size < 50e6
    began = time.process_time()
    for line in path.read_bytes().splitlines():
        json.loads(line)
    least = time.process_time() - began
    began = time.process_time()
    assert status(path).done == chunks
    asked = time.process_time() - began
    began = time.process_time()
    with Journal(path) as journal:
        journal.begin(header)
        assert len(journal.done) == chunks
        assert journal.done[chunks - 1]["shapes"].tobytes() == sums["shapes"].tobytes()
    read = time.process_time() - began
    # To parse the lines takes that long, whatever the machine: a quarter of a second on most.
    assert asked < 8 * least, (asked, least)
    assert read < 16 * least, (read, least)


def test_a_cluster_is_asked_for_its_workers_now_and_then_only(tmp_path, monkeypatch):
    with start_cluster("threads", workers=1) as client:
        count, asked = client.nthreads, []

        def nthreads():
            asked.append(time.monotonic())
            return count()

        monkeypatch.setattr(client, "nthreads", nthreads)
        start_run(tmp_path / "a.journal.jsonl", client=client, size=50 * CHUNK)
    # Once for those who wait for workers, and once a second for the window.
    assert len(asked) <= 3 + (asked[-1] - asked[0])


def test_journal_beside_a_store(tmp_path):
    store = tmp_path / "a.zarr"
    start_run(journal_path(store))
    assert status(store).label == "waiting"
