"""The page of slow tests keeps what they print, and nothing of what pytest prints."""

import importlib
from pathlib import Path

import pytest

TRANSCRIPT = """..turned m1 = -0.00 ± 0.52 %
white c1 = -0.77 ± 0.12 %.... [ 10%]
.
.opposite signs m = -0.24 ± 0.62 %.
============ slowest 10 durations ============
178.49s call tests/science/test_a.py::test_b
"""


@pytest.fixture
def science(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "docs")
    return importlib.import_module("science")


def test_numbers_are_what_the_tests_printed(science):
    assert science.numbers(TRANSCRIPT).splitlines() == [
        "turned m1 = -0.00 ± 0.52 %",
        "white c1 = -0.77 ± 0.12 %",
        "opposite signs m = -0.24 ± 0.62 %",
    ]


@pytest.mark.parametrize("failing", [False, True])
def test_failures_replace_no_numbers(science, monkeypatch, tmp_path, failing):
    (tmp_path / "docs").mkdir()
    record = tmp_path / "docs" / "science.txt"
    record.write_text("older numbers")
    program = f"print('new numbers.'); raise SystemExit({int(failing)})"
    monkeypatch.setattr(science, "ROOT", tmp_path)
    monkeypatch.setattr(science, "PYTEST", [science.sys.executable, "-c", program])
    assert science.main() == int(failing)
    assert ("older" if failing else "new") in record.read_text()
    assert failing or record.read_text().startswith("make science, 20")
