"""Check and time lensdask on a GPU: the end of `make gpu`, with whatever Python it is given. It installs nothing.

    python docs/gpu.py                              all parts on the GPU, tables into docs/bench/*.cuda.json
    python docs/gpu.py --device cpu --size tiny     the same steps on a CPU in seconds; its numbers mean nothing

Each part is a process of its own with a limit on its time: what fails, hangs or breaks the device costs the others
nothing. The exit code is 0 where all parts are done, 1 where one failed, 2 where there is no GPU, and 3 where modules
were missing for some part and the rest is done.
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from gpu_absent import ABSENT, RUNS, missing

ROOT = Path(__file__).parent.parent
FOLDERS = [str(ROOT), str(ROOT / "docs"), str(ROOT / "tests" / "benchmarks")]

BUDGET = 480.0
"""Seconds that all parts may take together."""

# CUDA does not survive a fork, and not even counting devices before it does.
PROCESSES = multiprocessing.get_context("spawn")

NEEDED = ("numpy", "scipy", "torch", "array_api_compat", "safetensors", "xarray", "psutil", "threadpoolctl")
"""Modules without which nothing can be measured."""

PARTS: dict[str, tuple[float, tuple[str, ...]]] = {
    "tests": (150.0, ("pytest", *RUNS)),
    "resmooth": (60.0, ()),
    "stages": (120.0, RUNS),
    "bias": (100.0, RUNS),
    "maps": (60.0, ()),
    "training": (60.0, ()),
    "mosaics": (60.0, RUNS),
    "lenses": (60.0, RUNS),
}
"""Seconds at the most and modules needed, by the name of the part, which is that of its function in `gpu_parts`."""


def carry_out(name: str, device: str, size: str, folder: Path) -> None:
    """Do one part, and keep what it found in the folder; the process of a part."""
    import gpu_parts

    try:
        about = {"part": name, "device": device, "size": size} | gpu_parts.surroundings(device)
        began = time.perf_counter()
        found = getattr(gpu_parts, name)(device, size == "tiny")
        about["wall_s"] = round(time.perf_counter() - began, 2)
        (folder / f"{name}.{device}.json").write_text(json.dumps(about | found, indent=1) + "\n")
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    sys.exit(1 if found.get("failed") else 0)


def outcome_of(name: str, device: str, size: str, folder: Path, left: float) -> dict[str, Any]:
    """Run the process of a part and return what became of it."""
    limit, modules = PARTS[name]
    if lacking := [name for name in modules if name in ABSENT] or missing([n for n in modules if n not in RUNS]):
        return {"part": name, "outcome": f"skipped: no {', '.join(lacking)}", "wall_s": 0.0}
    if left < 1:
        return {"part": name, "outcome": "skipped: no time left", "wall_s": 0.0}
    print(f"== {name}", flush=True)
    began = time.perf_counter()
    child = PROCESSES.Process(target=carry_out, args=(name, device, size, folder))
    child.start()
    child.join(min(limit, left))
    if child.is_alive():
        child.kill()
        child.join()
        outcome = f"failed: stopped after {min(limit, left):.0f} s"
    else:
        outcome = "done" if child.exitcode == 0 else f"failed: exit code {child.exitcode}"
    return {"part": name, "outcome": outcome, "wall_s": round(time.perf_counter() - began, 1)}


def exit_code(outcomes: list[dict[str, Any]]) -> int:
    """Return 1 if a part failed, else 3 if one was skipped, else 0."""
    first_words = {each["outcome"].partition(":")[0] for each in outcomes}
    return 1 if "failed" in first_words else 3 if "skipped" in first_words else 0


def write_page() -> str:
    """Write the page of all committed numbers anew, and return what became of it."""
    try:
        import bench

        (bench.RESULTS / "README.md").write_text(bench.page(bench.committed()))
    except ImportError as error:
        return f"skipped: {error}; make it elsewhere with python docs/bench.py"
    return "done"


def main() -> int:
    """Do the parts asked for, one after another; print what became of them, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--size", choices=("full", "tiny"), default="full")
    parser.add_argument("--out", type=Path, help="folder of the tables; docs/bench, or build/gpu on a CPU")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    if lacking := missing(NEEDED):
        print(f"{sys.executable}: no {', '.join(lacking)}; expected them installed or on PYTHONPATH", file=sys.stderr)
        return 1
    import torch

    if options.device == "cuda" and torch.cuda.device_count() == 0:
        print(
            "device 'cuda': torch finds none; expected a GPU, or --device cpu --size tiny for a dry run",
            file=sys.stderr,
        )
        return 2
    committed = ROOT / "docs" / "bench"
    folder = options.out or (committed if options.device == "cuda" else ROOT / "build" / "gpu")
    folder.mkdir(parents=True, exist_ok=True)
    sys.path[:0] = FOLDERS
    # The children get their path from here.
    os.environ["PYTHONPATH"] = os.pathsep.join([*FOLDERS, *filter(None, [os.environ.get("PYTHONPATH")])])
    began, outcomes = time.perf_counter(), []
    for name in options.parts:
        left = BUDGET - (time.perf_counter() - began)
        outcomes.append(outcome_of(name, options.device, options.size, folder, left))
    if folder == committed:
        outcomes.append({"part": "page", "outcome": write_page(), "wall_s": 0.0})
    for each in outcomes:
        print(f"{each['part']:>10}  {each['wall_s']:6.1f} s  {each['outcome']}")
    return exit_code(outcomes)


if __name__ == "__main__":
    sys.exit(main())
