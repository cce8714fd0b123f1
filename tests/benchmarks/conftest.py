"""What the benchmarks share: numbers are kept in ``build/bench``, from where `docs/bench.py` makes the tables."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from machine import busy_cores, machine

BUILD = Path(__file__).parents[2] / "build" / "bench"


@pytest.fixture
def record() -> Callable[..., None]:
    """Return a function that keeps what was measured: ``record(part, content, device="cpu")``."""
    before = busy_cores()

    def keep(part: str, content: dict[str, Any], device: str = "cpu") -> None:
        BUILD.mkdir(parents=True, exist_ok=True)
        about = {"part": part, "device": device, "machine": machine(device)}
        about["busy_cores"] = round(max(before, busy_cores()), 2)
        (BUILD / f"{part}.{device}.json").write_text(json.dumps(about | content, indent=1) + "\n")

    return keep


@pytest.fixture
def one_thread() -> None:
    """Refuse to time NumPy with more threads than one: workers have one each."""
    threads = [os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")]
    assert "1" in threads, "set OMP_NUM_THREADS=1 before Python starts, as make bench does"
