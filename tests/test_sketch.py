"""A new pillar is a task, a schema and a command: a sketch of one, which loads none of the pillars that are there."""

import json
import subprocess
import sys

SKETCH = '''
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import typer

from lensdask.cli.options import AsJson, Running, Seed, with_groups
from lensdask.cli.root import app, report_store
from lensdask.compute import Chunks, NewStore, Task, run
from lensdask.data import SCHEMAS, Schema, Variable
from lensdask.data.schemas import COMMON
from lensdask.random import Stream, generator

# From here on, the pillar.
KAPPA, TILE = Variable(("tile", "y", "x"), "float32", "1", "convergence"), Variable(("tile",), "int64", "1", "id")
TILES = Schema("lss_tiles", 1, {"kappa": KAPPA}, {"tile": TILE}, COMMON, unit_dim="tile", chunk=4)
SCHEMAS[TILES.name] = TILES  # as a pillar's stands in lensdask.data.schemas

@dataclass(frozen=True)
class SimulateTiles(Task):
    size: int
    seed: int

    def __call__(self, start, stop, device):
        draws = [generator(self.seed, Stream.SKY, i).normal(size=(self.size, self.size)) for i in range(start, stop)]
        return {"kappa": np.array(draws, dtype=np.float32)}, {"sum": np.sum(draws, axis=(1, 2))}

@app.command()
@with_groups
def tiles(path: Path, *, count: int = 8, seed: Seed = 0, running: Running, as_json: AsJson = False) -> None:
    """Simulate tiles."""
    sizes, coords = {"tile": count, "y": 16, "x": 16}, {"tile": range(count)}
    store = NewStore(path, TILES, sizes, coords, {})
    done = run(SimulateTiles(16, seed), Chunks(count, 4, "tiles"), store, running.options, label="tiles")
    report_store(path, done, "tiles", as_json)
# To here.

if __name__ == "__main__":
    import sys

    try:
        app()
    finally:
        loaded = [m for m in sys.modules if m.startswith(("lensdask.shear", "lensdask.massmap"))]
        print(*loaded, sep="\\n", file=sys.stderr)
'''


def call(tmp_path, *arguments):
    done = subprocess.run(
        [sys.executable, "sketch.py", *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr.splitlines()


def test_a_sketch_of_a_pillar(tmp_path):
    (tmp_path / "sketch.py").write_text(SKETCH)
    code, printed, _ = call(tmp_path, "tiles", "a.zarr", "--json", "--cluster", "threads", "--workers", "1")
    assert code == 0
    assert json.loads(printed)["run"]["objects"] == 8
    code, _, lines = call(tmp_path, "tiles", "a.zarr", "--cluster", "threads")
    assert code == 2
    assert "continue it with --resume or replace it with --overwrite" in lines[0]
    assert lines[1:] == [""]
    code, _, lines = call(tmp_path, "tiles", "a.zarr", "--resume", "--seed", "1", "--cluster", "threads")
    assert code == 2
    assert "another configuration" in lines[0]
