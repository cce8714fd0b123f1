"""Run every experiment at size small, and commit-ready collect results, pictures and tables: `make reproduce`."""

import json
import shutil
import sys
from pathlib import Path

from lensdask.reproduce import EXPERIMENTS, run_experiment
from lensdask.reproduce.tables import markdown
from lensdask.shear import RunOptions

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "lensdask" / "reproduce" / "results"
HEAD = "# Figures and tables of the papers, measured by `make reproduce`\n"


def collect(build: Path, names: list[str]) -> None:
    """Run experiments, resuming those that were interrupted, and copy what they found."""
    for name in names:
        options = RunOptions(cluster="local", if_exists="resume")
        run_experiment(name, build / name, options=options)
        shutil.copy(build / name / "result.json", RESULTS / f"{name}.json")
        shutil.copy(build / name / f"{name}.png", ROOT / "docs" / "reproduce" / f"{name}.png")


def page() -> str:
    """Return the page of all committed results."""
    found = [RESULTS / f"{name}.json" for name in EXPERIMENTS]
    sections = [markdown(json.loads(file.read_text())) for file in found if file.exists()]
    return "\n".join([HEAD, *sections])


if __name__ == "__main__":
    collect(ROOT / "build" / "reproduce", sys.argv[1:] or list(EXPERIMENTS))
    (RESULTS / "README.md").write_text(page())
