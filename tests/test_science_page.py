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
    record.write_text("test_a.py: 2026-01-01, here\nolder\n\ntest_z.py: 2026-01-01, here\nof others\n")
    program = f"print('newer.\\n\\nnumbers'); raise SystemExit({int(failing)})"
    monkeypatch.setattr(science, "ROOT", tmp_path)
    monkeypatch.setattr(science, "PYTEST", [science.sys.executable, "-c", program])
    assert science.main(["test_a.py"]) == int(failing)
    first, last = record.read_text().split("\n\n")
    assert first.startswith("test_a.py: 20")
    assert first.endswith("here\nolder" if failing else "\nnewer\nnumbers")
    assert last == "test_z.py: 2026-01-01, here\nof others\n"


def test_all_slow_tests_are_found(science):
    found = science.science_tests()
    assert {"tests/science/test_gaussian_fisher.py", "tests/science/test_lss_posteriors.py"} <= set(found)
    assert "tests/test_science_page.py" not in found
