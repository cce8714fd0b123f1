"""The journal gives back the very bits, survives a torn line and a full disk, and refuses strangers."""

import errno
import fcntl
import json
import re
import threading
import time
import zlib

import numpy as np
import pytest

from lensdask.compute import Journal, fingerprint, journal_path, status
from lensdask.compute.runs.journal import is_locked
from lensdask.compute.runs.journal_format import line_of
from lensdask.data import SHAPES, STAMPS
from lensdask.errors import InputError

HEADER = {"fingerprint": "abc", "size": 15, "chunk": 5, "label": "test", "unit": "galaxies"}
ODD = np.array([[0.1, 1 / 3, -0.0], [np.inf, 5e-324, 1.7976931348623157e308]])
# The NaN that x86 makes of 0/0 has its sign bit set, which text would lose.
MINUS_NAN = np.array(0xFFF8000000000000, np.uint64).view(np.float64)


def begin(journal: Journal) -> None:
    journal.begin(HEADER)
    journal.begin_session()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.journal.jsonl"
    with Journal(path) as journal:
        begin(journal)
        journal.append(1, {"odd": ODD, "nan": MINUS_NAN})
        journal.append(0, None)
    return path


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_round_trip_to_the_bit(path):
    with Journal(path) as journal:
        journal.begin(HEADER)
        assert list(journal.done) == [1, 0]
        assert journal.done[0] is None
        for name, value in (("odd", ODD), ("nan", MINUS_NAN)):
            assert journal.done[1][name].tobytes() == value.tobytes()
            assert journal.done[1][name].shape == value.shape


def test_what_the_lines_say(path):
    before = time.time()
    with Journal(path) as journal:
        begin(journal)
        journal.give_up(1, "RuntimeError: why")
    found = lines(path)
    for line in found:
        # Last, and of all that stands before it.
        digits = line.pop("crc32")
        assert digits == f"{zlib.crc32(json.dumps(line).encode()):08x}"
    assert found[0] == {"event": "run", "version": 2, **HEADER}
    assert [line["event"] for line in found[1:]] == ["session", "done", "done", "session", "given up"]
    times = [line["time"] for line in found[1:]]
    assert times == sorted(times)
    assert before - 1e-3 <= times[-1] <= time.time() + 1e-3
    assert (found[-1]["chunk"], found[-1]["reason"]) == (1, "RuntimeError: why")


def test_a_chunk_given_up_is_not_done_until_a_later_session_finishes_it(tmp_path):
    path = tmp_path / "a.journal.jsonl"
    with Journal(path) as journal:
        begin(journal)
        journal.give_up(1, "why")
    with Journal(path) as journal:
        begin(journal)
        assert journal.done == {}
        assert journal.earlier[0].given_up == {1: "why"}
        journal.append(1, {"odd": ODD})
    with Journal(path) as journal:
        journal.begin(HEADER)
        assert list(journal.done) == [1]
        assert [session.done for session in journal.earlier] == [[], [1]]


@pytest.mark.parametrize("cut", [1, 2, 20])
def test_torn_last_line_is_cut_off(path, cut):
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with Journal(path) as journal:
        journal.begin(HEADER)
        assert list(journal.done) == [1]
    assert path.read_bytes().splitlines(keepends=True) == whole.splitlines(keepends=True)[:-1]


def test_garbage_after_a_power_cut_is_cut_off(path):
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0" * 7 + b"\n")
    with Journal(path) as journal:
        begin(journal)
        assert list(journal.done) == [1, 0]
    assert path.read_bytes().startswith(whole)
    assert lines(path)[-1]["event"] == "session"


# The second is what a power cut may leave: a line that ends, of which nothing arrived.
@pytest.mark.parametrize("damage", [b'{"event": "', b'{"event": "\n', b"\0" * 40 + b"\n"])
def test_damaged_header_is_an_empty_journal(path, damage):
    path.write_bytes(damage)
    with Journal(path) as journal:
        assert journal.empty
        begin(journal)
        assert not journal.empty
        assert journal.done == {}
    assert [line["event"] for line in lines(path)] == ["run", "session"]


def test_the_wait_for_workers_is_no_session(path):
    before = path.read_bytes()
    with Journal(path) as journal:
        journal.begin(HEADER)
        assert path.read_bytes() == before
        journal.begin_session()
    assert path.read_bytes().startswith(before)
    assert lines(path)[-1]["event"] == "session"


def test_damage_before_the_last_line_is_refused(path):
    text = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(text[0] + text[1][:5] + b"\n" + text[2])
    with Journal(path) as journal, pytest.raises(InputError, match="line 2 is damaged"):
        journal.begin(HEADER)


def both_readers(path, header, alike=True):
    """Return what a run that is resumed finds done, or what it and `status` say alike of a damaged journal."""
    text = path.read_bytes()
    try:
        status(path)
    except InputError as error:
        said = str(error)
    else:
        said = ""
    assert path.read_bytes() == text
    try:
        with Journal(path) as journal:
            journal.begin(header)
            return journal.done
    except InputError as error:
        assert said == str(error) or not alike  # noqa: PT017  there need be none
        assert "\n" not in str(error)  # noqa: PT017
        return str(error)


@pytest.mark.parametrize("version", [1, 2])
def test_no_damage_at_any_place_is_silent(path, version):
    with Journal(path) as journal:
        begin(journal)
        journal.give_up(1, "why")
        journal.append(1, {"odd": -ODD, "nan": MINUS_NAN})
    whole = path.read_bytes()
    if version == 1:
        whole = as_version_1(whole)
        path.write_bytes(whole)
    wanted, rng = digest(both_readers(path, HEADER)), np.random.default_rng(0)
    before_last = {**wanted, 1: digest({1: {"odd": ODD, "nan": MINUS_NAN}})[1]}
    last = whole.rindex(b"\n", 0, -1)
    # Without checksums there is less to see.
    for place in range(0, len(whole), 1 if version == 2 else 4):
        flipped = bytes([whole[place] ^ 1 << int(rng.integers(8))])
        for damaged in (whole[:place] + flipped + whole[place + 1 :], whole[:place]):
            path.write_bytes(damaged)
            found = both_readers(path, HEADER, alike=version == 2)
            if isinstance(found, str):
                assert damaged[: place + 1].count(b"\n") < whole.count(b"\n")
                assert str(path) in found
            elif version == 2 and len(damaged) == len(whole):
                assert place >= last
                assert digest(found) == before_last
            elif version == 2:
                assert all(sums in (wanted[n], before_last[n]) for n, sums in digest(found).items())


def digest(done):
    return {n: sums and {name: (v.shape, v.tobytes()) for name, v in sums.items()} for n, sums in done.items()}


def as_version_1(text: bytes) -> bytes:
    """Return a journal as lensdask 0.1 wrote it."""
    found = [json.loads(line) for line in text.splitlines()]
    for line in found:
        del line["crc32"]
    found[0]["version"] = 1
    return "".join(f"{json.dumps(line)}\n" for line in found).encode()


def test_a_journal_of_version_1_is_resumed(path):
    wanted = digest(both_readers(path, HEADER))
    path.write_bytes(as_version_1(path.read_bytes()))
    assert digest(both_readers(path, HEADER)) == wanted
    with Journal(path) as journal:
        begin(journal)
        journal.append(1, {"odd": ODD, "nan": MINUS_NAN})
    assert list(both_readers(path, HEADER)) == [1, 0]
    # Its new lines have checksums.
    before, shape, after = path.read_bytes().rpartition(b"[2, 3]")
    assert shape
    path.write_bytes(before + b"[3, 2]" + after + line_of({"event": "session", "time": 1.0}))
    assert "line 6 is damaged: its checksum differs" in both_readers(path, HEADER)


SUMS = {"odd": {"shape": [1], "float64": "00" * 8}}
MALFORMED = {
    "without sums": ({"chunk": 1}, "it is 'done' without 'sums'"),
    "without chunk": ({"sums": None}, "it is 'done' without 'chunk'"),
    "no such chunk": ({"chunk": 3, "sums": None}, "there is no chunk 3 of 3"),
    "negative chunk": ({"chunk": -1, "sums": None}, "there is no chunk -1 of 3"),
    "chunk is text": ({"chunk": "1", "sums": None}, "its 'chunk' is '1'"),
    "chunk is true": ({"chunk": True, "sums": None}, "its 'chunk' is True"),
    "sums are a list": ({"chunk": 1, "sums": []}, r"its 'sums' is \[\]"),
    "another shape": (
        {"chunk": 1, "sums": {"odd": {"shape": [2], "float64": "00" * 8}}},
        "its sums 'odd' are not whole",
    ),
    "no digits": ({"chunk": 1, "sums": {"odd": {"shape": [1], "float64": "xy" * 8}}}, "its sums 'odd' are not whole"),
    "negative shape": (
        {"chunk": 1, "sums": {"odd": {"shape": [-1, -1], "float64": "00" * 8}}},
        "its sums 'odd' are not whole",
    ),
    "no shape": ({"chunk": 1, "sums": {"odd": {"float64": ""}}}, "its sums 'odd' are not whole"),
    "other dimensions": (
        {"chunk": 1, "sums": {"odd": {"shape": [1, 1], "float64": "00" * 8}}},
        "its sums are not like those of the lines before",
    ),
    "other names": ({"chunk": 1, "sums": {"even": SUMS["odd"]}}, "its sums are not like those of the lines before"),
    "time is text": ({"chunk": 1, "sums": None, "time": "now"}, "its 'time' is 'now'"),
    "time without end": ({"chunk": 1, "sums": None, "time": float("inf")}, "its 'time' is inf"),
    "unknown event": ({"event": "undone", "chunk": 1}, "its event 'undone' is unknown"),
    "event is a list": ({"event": ["done"], "chunk": 1}, "its event .* is unknown"),
    "another run": ({"event": "run", "version": 2, **HEADER}, "it begins another run"),
}


@pytest.mark.parametrize("case", MALFORMED)
@pytest.mark.parametrize("version", [1, 2])
def test_a_line_that_is_none_of_a_journal_is_named(tmp_path, case, version):
    fields, message = MALFORMED[case]
    path = tmp_path / "a.journal.jsonl"
    done = {"event": "done", "time": 1.0}
    found = [{"event": "run", "version": 2, **HEADER}, {"event": "session", "time": 1.0}]
    found += [{**done, "chunk": 0, "sums": SUMS}, {**done, **fields}, {**done, "chunk": 0, "sums": SUMS}]
    text = b"".join(map(line_of, found))
    path.write_bytes(text if version == 2 else as_version_1(text))
    said = both_readers(path, HEADER)
    assert re.search(rf"a\.journal\.jsonl: line 4 is damaged: {message}; .*lensdask verify", said), said


@pytest.mark.parametrize("name", ["label", "unit", "size", "chunk", "fingerprint"])
def test_a_header_that_lacks_something_is_named(path, name):
    text = path.read_bytes().splitlines(keepends=True)
    header = json.loads(text[0])
    del header["crc32"], header[name]
    path.write_bytes(line_of(header) + b"".join(text[1:]))
    assert f"line 1 is damaged: it is 'run' without {name!r}; start again" in both_readers(path, HEADER)


def test_a_chunk_that_is_struck_is_not_done(path):
    with Journal(path) as journal:
        begin(journal)
        journal.strike(1, "e1/c/1 is missing")
        assert list(journal.done) == [0]
    assert status(path).done == 1
    with Journal(path) as journal:
        begin(journal)
        assert list(journal.done) == [0]
        journal.append(1, {"odd": ODD, "nan": MINUS_NAN})
    assert sorted(both_readers(path, HEADER)) == [0, 1]
    assert status(path).done == 2


@pytest.mark.parametrize("name", ["fingerprint", "size", "chunk"])
def test_another_header_is_refused(path, name):
    with Journal(path) as journal, pytest.raises(InputError, match="another configuration"):
        journal.begin(HEADER | {name: "other"})


def test_names_are_no_part_of_what_a_run_is(path):
    with Journal(path) as journal:
        journal.begin(HEADER | {"label": "a network that moved"})
        assert list(journal.done) == [1, 0]


@pytest.mark.parametrize("header", [{"fingerprint": "abc", "size": 10, "chunk": 5}, {"event": "run", "version": 3}])
def test_another_version_is_refused(tmp_path, header):
    path = tmp_path / "a.journal.jsonl"
    path.write_text(json.dumps(header) + "\n")
    with Journal(path) as journal, pytest.raises(InputError, match=r"a journal of version .* this lensdask reads 2"):
        journal.begin(HEADER)
    assert lines(path) == [header]


def test_second_run_is_refused(path):
    with (
        Journal(path),
        pytest.raises(InputError, match="another run is writing here"),
        Journal(path),
    ):
        pass
    with Journal(path) as journal:
        journal.begin(HEADER)


def test_a_run_that_begins_is_not_disturbed_by_those_who_ask(path):
    stop = threading.Event()
    answers = set()

    def ask():
        while not stop.is_set():
            answers.add(is_locked(path))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(100):
            with Journal(path):
                time.sleep(1e-3)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert answers == {True, False}


def test_a_journal_that_is_removed_before_it_is_locked_is_not_used(path, monkeypatch):
    lock, removed = fcntl.flock, []

    def flock(file, how):
        # Another run, whose input was refused, clears up between opening and locking.
        if not removed:
            path.unlink()
            removed.append(path)
        lock(file, how)

    monkeypatch.setattr("lensdask.compute.runs.journal.fcntl.flock", flock)
    with Journal(path) as journal:
        begin(journal)
        assert journal.done == {}
    assert len(lines(path)) == 2


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_a_file_system_without_locks_is_refused_in_a_line(tmp_path, monkeypatch, code):
    def flock(_file, _how):
        raise OSError(code, "Function not implemented")

    monkeypatch.setattr("lensdask.compute.runs.journal.fcntl.flock", flock)
    with pytest.raises(InputError, match=r"a\.journal\.jsonl: this file system has no locks.*expected") as caught:
        Journal(tmp_path / "a.journal.jsonl").__enter__()
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_a_journal_that_was_not_begun(tmp_path):
    with Journal(tmp_path / "a.journal.jsonl"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_does_not_fit_the_disk_leaves_no_trace(path, monkeypatch):
    whole = path.read_bytes()

    def full(_file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with Journal(path) as journal:
        begin(journal)
        begun = path.read_bytes()
        monkeypatch.setattr("lensdask.compute.runs.journal.os.fsync", full)
        with pytest.raises(OSError, match="No space left") as caught:
            journal.append(2, {"odd": ODD, "nan": MINUS_NAN})
        assert caught.value.filename == str(path)
        assert 2 not in journal.done
        monkeypatch.undo()
        assert path.read_bytes() == begun
        journal.append(2, {"odd": ODD, "nan": MINUS_NAN})
    assert path.read_bytes().startswith(whole)
    with Journal(path) as journal:
        journal.begin(HEADER)
        assert list(journal.done) == [1, 0, 2]


def test_clear(path):
    with Journal(path) as journal:
        journal.clear()
        journal.begin(HEADER | {"size": 20})
        journal.begin_session()
    assert lines(path)[0]["size"] == 20
    assert len(lines(path)) == 2


def test_journal_lies_beside_the_store(tmp_path):
    assert journal_path(tmp_path / "a.zarr") == tmp_path / "a.zarr.journal.jsonl"


def test_fingerprint_depends_on_all_that_decides_the_result():
    config = {"seed": 1, "noise": 0.594}
    seen = {
        fingerprint(config),
        fingerprint({"seed": 2, "noise": 0.594}),
        fingerprint(config, SHAPES),
        fingerprint(config, STAMPS),
    }
    assert len(seen) == 4
    assert fingerprint({"noise": 0.594, "seed": 1}) in seen


CODE = {"version": "0.2.0", "files": {f"lensdask/{name}.py": name for name in ("a", "b", "c", "d", "e")}}


@pytest.fixture
def of_code(tmp_path):
    path = tmp_path / "b.journal.jsonl"
    with Journal(path) as journal:
        journal.begin(HEADER | {"code": CODE})
        journal.begin_session()
    return path


def resume_with(path, **files):
    now = {f"lensdask/{name}.py": content for name, content in files.items()}
    with Journal(path) as journal:
        journal.begin(HEADER | {"code": {"version": "0.3.0", "files": CODE["files"] | now}})


def test_another_version_of_the_same_code_is_the_same_run(of_code):
    resume_with(of_code)


def test_what_changed_is_named(of_code):
    with pytest.raises(InputError, match=r"jsonl: lensdask/c\.py changed since .* 0\.2\.0 then, 0\.3\.0 now") as caught:
        resume_with(of_code, c="other")
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"lensdask/new\.py changed"):
        resume_with(of_code, new="n")
    with pytest.raises(InputError, match=r": lensdask/a\.py, lensdask/b\.py, lensdask/c\.py and 2 more files changed"):
        resume_with(of_code, a="1", b="1", c="1", d="1", e="1")


def test_a_run_whose_code_is_unknown_is_refused(path):
    with Journal(path) as journal, pytest.raises(InputError, match=r"before 0\.2, whose code is unknown; start again"):
        journal.begin(HEADER | {"code": CODE})
