"""The page of benchmarks is that of the committed numbers, and its model is a multiplication."""

import importlib
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(DOCS)
    return importlib.import_module


def test_the_page_is_of_the_committed_numbers(load):
    bench = load("bench")
    assert (DOCS / "bench" / "README.md").read_text() == bench.page(bench.committed())


def test_the_readme_shows_a_digest_of_them(load):
    bench = load("bench")
    assert bench.readme_table(bench.committed()) in (DOCS.parent / "README.md").read_text()


def test_there_is_a_row_of_a_gpu_only_if_one_was_measured(load):
    bench = load("bench")
    cpu = {name: part for name, part in bench.committed().items() if part["device"] == "cpu"}
    assert "No GPU was measured" in bench.page(cpu)
    gpu = cpu["stages.cpu"] | {"device": "cuda", "machine": cpu["stages.cpu"]["machine"] | {"GPU": "NVIDIA X"}}
    page = bench.page(cpu | {"stages.cuda": gpu})
    assert "No GPU was measured" not in page
    assert "## Stages, NVIDIA X" in page
    assert "d4cnn-paper, chunk function on NVIDIA X" in page


def test_model_by_hand(load):
    # Two workers take 3.6 s for 1000 galaxies, so 40 million take 40 hours.
    runs = {"seconds": {"2 workers": [3.6, 3.6]}, "galaxies": 1000}
    last = {"store_bytes": 50_000, "journal_bytes": 1_000}
    survey, of_dask = {"commands": {"1000": [last]}}, {"s_per_empty_task": (0.01, 0.0)}
    found = {"runs-fpfs.cpu": runs, "survey.cpu": survey, "dask.cpu": of_dask}
    (cells,) = load("bench_model").model_rows(found)
    name, hours, core_hours, shapes, journal, tasks, dask = cells
    assert (name, hours, core_hours) == ("fpfs, runs of two workers", "40.0 ± 0.0", "80 ± 0")
    assert (shapes, journal) == ("2.0", "40")
    assert float(dask.replace(",", "")) == pytest.approx(0.01 * int(tasks.replace(",", "")), abs=0.5)
