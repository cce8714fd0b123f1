"""Train the shipped networks of strong lenses, measure them on lenses of their own, and write both into the package.

The lenses are those of `enn.learning_curve` at size small: physical ones as Euclid sees them, with the substructure of
the published simulation. What was made is kept in ``build/reproduce``, and gone on with.
"""

import argparse
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lensdask.compute import RunOptions, describe_device, start_cluster, write_json
from lensdask.data import code_version
from lensdask.reproduce import Job
from lensdask.reproduce.enn.curves import PHYSICAL
from lensdask.reproduce.enn.plans import Step
from lensdask.reproduce.enn.study import Lesson, Study
from lensdask.stronglens import evaluate

ROOT = Path(__file__).parent.parent
WEIGHTS = ROOT / "lensdask" / "stronglens" / "weights"
PER_CLASS = 2700

VORTICES = PHYSICAL._replace(classes=("vortex",))

NETWORKS = {
    "lens-net": Lesson("lens-net", PHYSICAL, Step(PER_CLASS, epochs=4)),
    "c8": Lesson("c8", PHYSICAL, Step(PER_CLASS, epochs=3)),
    "harmonic": Lesson("harmonic", PHYSICAL, Step(PER_CLASS, epochs=5)),
    "et": Lesson("et", PHYSICAL, Step(PER_CLASS, epochs=7)),
    "resnet50": Lesson("resnet50", PHYSICAL, Step(PER_CLASS, epochs=7)),
    "lens-net-mass": Lesson("lens-net", VORTICES, Step(PER_CLASS, epochs=8), task="mass"),
}
"""Their lessons: three to six minutes of a core each."""

WHAT = (
    "docs/lens_networks.py: lenses of the same kind that no training has met; errors from 1000 resamplings of them; "
    "ECE in ten bins of equal numbers"
)


def measure(study: Study, name: str) -> None:
    """Copy one network into the package, with its scores on its card."""
    lesson, folder = NETWORKS[name], study.directory / "scores" / name
    lenses, options = study.lenses(lesson.lenses, tests=True), study.options
    found = evaluate(folder, study.predictions(lesson), lenses, options=replace(options, if_exists="overwrite"))
    scores = {r["quantity"]: _value(r) for r in found["rows"] if r.get("series") == "all lenses" and "x" not in r}
    about = {"date": datetime.now(UTC).date().isoformat(), "machine": describe_device("cpu")}
    measured = {"what": WHAT, "lenses": found["size"], **scores, **about, "lensdask": code_version()}
    weights = study.weights(lesson)
    card = json.loads(weights.with_suffix(".json").read_text())
    checksums = {entry: card.pop(entry) for entry in ("sha256", "card_sha256")}
    shutil.copy(weights, WEIGHTS / f"{name}.safetensors")
    write_json(WEIGHTS / f"{name}.json", card | {"measured": measured} | checksums)
    print(name, scores)


def _value(row: dict[str, Any]) -> dict[str, float]:
    """Return a score with its error, of five significant digits."""
    parts = {"value": row["measured"], "error": row["error"]}
    return {part: float(f"{number:.5g}") for part, number in parts.items() if number is not None}


def main() -> None:
    """Train and measure what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NETWORKS)}; all of them by default")
    names = parser.parse_args().names or list(NETWORKS)
    if unknown := set(names) - set(NETWORKS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; expected {', '.join(NETWORKS)}")
    build = ROOT / "build" / "reproduce"
    with start_cluster() as client:
        options = RunOptions(cluster=client, if_exists="resume")
        study = Study.of(Job(build / "lens-networks", "small", study=build / "study", options=options))
        study.train(NETWORKS[name] for name in names)
        for name in names:
            measure(study, name)


if __name__ == "__main__":
    main()
