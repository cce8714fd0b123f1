"""Result files of a bias test: ``result.json`` beside the published values, and ``run.json``."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lensdask.compute import Row, RunResult, recorded, row, write_json
from lensdask.data import load_card
from lensdask.shear.calibration.estimate import BIAS_QUANTITIES, Bias
from lensdask.shear.simulation.catsim import MAGNITUDE_LIMIT
from lensdask.shear.simulation.observation import Observation
from lensdask.shear.tasks import MeasureBias
from lensdask.stats import MINIMUM_BLOCKS

__all__ = ["PUBLISHED", "BiasRun", "bias_result", "bias_rows", "write_results"]

PUBLISHED: dict[str, tuple[float, float | None]] = {
    "m1": (-0.092e-3, 0.286e-3),
    "m2": (0.183e-3, 0.272e-3),
    "c1": (-0.17e-5, 2.48e-5),
    "c2": (1.96e-5, 2.93e-5),
    "shape_noise_1": (0.272, None),
    "shape_noise_2": (0.272, None),
}
"""D4CNN with GELU at LSST year-10 noise (Lin, Li et al. 2026, Table 2): biases of 40 million galaxies with i < 25.3,
and the shape noise, of their catalogue, without an error."""


_COMPARABLE = {"m1": 1e-3, "m2": 1e-3, "c1": 1e-4, "c2": 1e-4}
"""Error below which a bias can be held against a published one."""


@dataclass(frozen=True)
class BiasRun:
    """Outcome of a bias test."""

    bias: Bias | None
    """Biases with errors; none if every chunk was given up."""
    uncorrected: Bias | None
    """With a cut: the biases of an analysis without its selection response."""
    run: RunResult
    """Counts, times and quarantined chunks."""
    result: dict[str, Any] = field(default_factory=dict)
    """Content of ``result.json``."""


def bias_rows(result: Bias, published: Mapping[str, tuple[float, float | None]]) -> list[Row]:
    """Return the rows of a result file, one for each of `BIAS_QUANTITIES`.

    A published bias is comparable where both errors, added in quadrature, are below 1e-3 for m and 1e-4 for c, from
    enough blocks to trust them; the shape noise never is, since it depends on the catalogue.
    """
    rows = []
    for i, name in enumerate(BIAS_QUANTITIES):
        value, error = published.get(name, (None, None))
        together = np.hypot(np.inf if error is None else error, result.errors[i])
        tight = bool(together < _COMPARABLE.get(name, 0.0)) and result.blocks >= MINIMUM_BLOCKS
        measured, delta = (result.values[i], result.errors[i]), float(result.delta_errors[i])
        published_as = {"published": value, "published_error": error}
        rows.append(row(name, *measured, comparable=tight, delta_error=delta) | published_as)
    return rows


def _is_setup_of_paper(task: MeasureBias) -> bool:
    """Whether a run measures what Table 2 has: a smooth equivariant network on all galaxies at year-10 noise."""
    estimator = task.estimator
    if estimator.path is None or estimator.kernel_fwhm is not None or task.selection is not None:
        return False
    network = load_card(estimator.weights)["config"]
    is_smooth = network.get("equivariant", True) and network.get("activation", "gelu") == "gelu"
    # Exchanged noise changes the errors, not what is measured; nor does it matter who draws the galaxies.
    same = replace(task.observation, noise=Observation.noise, renderer=Observation.renderer) == Observation()
    return bool(is_smooth and same and task.catalogue.magnitude_limit == MAGNITUDE_LIMIT)


def bias_result(outcome: BiasRun, task: MeasureBias, galaxies: int) -> dict[str, Any]:
    """Return the content of ``result.json``."""
    published = PUBLISHED if _is_setup_of_paper(task) else {}
    rows = [] if outcome.bias is None else bias_rows(outcome.bias, published)
    if outcome.uncorrected is not None:
        rows += [row | {"quantity": f"{row['quantity']}_uncorrected"} for row in bias_rows(outcome.uncorrected, {})[:2]]
    return {
        "experiment": f"shear.bias {task.estimator.name}",
        "size": galaxies,
        "selection": task.selection and asdict(task.selection),
        "selected": outcome.bias.selected if outcome.bias else 0.0,
        "rows": rows,
        "run": outcome.run.record(),
    }


def write_results(directory: Path, outcome: BiasRun, task: MeasureBias, galaxies: int) -> dict[str, Any]:
    """Write ``result.json`` and ``run.json`` into a directory, each whole or not at all; return the former."""
    result, files = bias_result(outcome, task, galaxies), (directory / "result.json", directory / "run.json")
    if not outcome.run.objects and files[1].exists() and (known := recorded(files[0], result)):
        return known
    record = {
        "configuration": asdict(task),
        **result["run"],
        "retries": outcome.run.retries,
        "quarantined": [asdict(q) for q in outcome.run.quarantined],
        "blocks": outcome.bias.blocks if outcome.bias else 0,
    }
    write_json(files[1], record)
    write_json(files[0], result)
    return result
