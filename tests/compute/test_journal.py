"""The journal gives back the very bits, survives a torn line, and refuses strangers."""

import json

import numpy as np
import pytest

from lensdask.compute import Journal, fingerprint, journal_path
from lensdask.data import SHAPES, STAMPS
from lensdask.errors import InputError

HEADER = {"fingerprint": "abc", "size": 10, "chunk": 5}
ODD = np.array([[0.1, 1 / 3, -0.0], [np.inf, 5e-324, 1.7976931348623157e308]])
# The NaN that x86 makes of 0/0 has its sign bit set, which text would lose.
MINUS_NAN = np.array(0xFFF8000000000000, np.uint64).view(np.float64)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.journal.jsonl"
    with Journal(path) as journal:
        journal.begin(HEADER)
        journal.append(1, {"odd": ODD, "nan": MINUS_NAN})
        journal.append(0, None)
    return path


def test_round_trip_to_the_bit(path):
    with Journal(path) as journal:
        journal.begin(HEADER)
        assert list(journal.done) == [1, 0]
        assert journal.done[0] is None
        for name, value in (("odd", ODD), ("nan", MINUS_NAN)):
            assert journal.done[1][name].tobytes() == value.tobytes()
            assert journal.done[1][name].shape == value.shape


@pytest.mark.parametrize("cut", [1, 2, 20])
def test_torn_last_line_is_cut_off(path, cut):
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with Journal(path) as journal:
        journal.begin(HEADER)
        assert list(journal.done) == [1]
        journal.append(0, None)
    assert path.read_bytes() == whole


def test_garbage_after_a_power_cut_is_cut_off(path):
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0" * 7 + b"\n")
    with Journal(path) as journal:
        journal.begin(HEADER)
        assert list(journal.done) == [1, 0]
    assert path.read_bytes() == whole


def test_torn_header_is_an_empty_journal(path):
    path.write_bytes(path.read_bytes()[:10])
    with Journal(path) as journal:
        assert journal.empty
        journal.begin(HEADER)
        assert not journal.empty
        assert journal.done == {}
    assert json.loads(path.read_text()) == HEADER


def test_damage_before_the_last_line_is_refused(path):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:5] + b"\n" + lines[2])
    with Journal(path) as journal, pytest.raises(InputError, match="line 2 is damaged"):
        journal.begin(HEADER)


@pytest.mark.parametrize("name", list(HEADER))
def test_another_header_is_refused(path, name):
    with Journal(path) as journal, pytest.raises(InputError, match="another configuration"):
        journal.begin(HEADER | {name: "other"})


def test_second_run_is_refused(path):
    with (
        Journal(path),
        pytest.raises(InputError, match="another run is writing here"),
        Journal(path),
    ):
        pass
    with Journal(path) as journal:
        journal.begin(HEADER)


def test_clear(path):
    with Journal(path) as journal:
        journal.clear()
        journal.begin(HEADER | {"size": 20})
    assert json.loads(path.read_text())["size"] == 20


def test_journal_lies_beside_the_store(tmp_path):
    assert journal_path(tmp_path / "a.zarr") == tmp_path / "a.zarr.journal.jsonl"


def test_fingerprint_depends_on_all_that_decides_the_result(monkeypatch):
    config = {"seed": 1, "noise": 0.594}
    seen = {
        fingerprint(config),
        fingerprint({"seed": 2, "noise": 0.594}),
        fingerprint(config, SHAPES),
        fingerprint(config, STAMPS),
        fingerprint(config, SHAPES, ["abc"]),
    }
    assert len(seen) == 5
    assert fingerprint({"noise": 0.594, "seed": 1}) in seen
    monkeypatch.setattr("lensdask.compute.journal.code_version", lambda: "99")
    assert fingerprint(config) not in seen
