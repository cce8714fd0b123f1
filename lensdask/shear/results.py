"""Result files of a bias test: ``result.json`` beside the published values, and ``run.json``."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lensdask.compute import RunResult, write_json
from lensdask.data import load_card
from lensdask.shear.calibration.estimate import BIAS_QUANTITIES, Bias
from lensdask.shear.shapes.estimator import Estimator
from lensdask.shear.simulation.catalogue import MAGNITUDE_LIMIT
from lensdask.shear.simulation.observation import Observation
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
    run: RunResult
    """Counts, times and quarantined chunks."""
    uncorrected: Bias | None = None
    """With a cut: the biases of an analysis without its selection response."""


def bias_rows(result: Bias, published: Mapping[str, tuple[float, float | None]]) -> list[dict[str, Any]]:
    """Return the rows of a result file, one for each of `BIAS_QUANTITIES`.

    A published bias is comparable where both errors, added in quadrature, are below 1e-3 for m and 1e-4 for c, from
    enough blocks to trust them; the shape noise never is, since it depends on the catalogue.
    """
    rows = []
    for i, name in enumerate(BIAS_QUANTITIES):
        value, error = published.get(name, (None, None))
        together = np.hypot(np.inf if error is None else error, result.errors[i])
        tight = bool(together < _COMPARABLE.get(name, 0.0)) and result.blocks >= MINIMUM_BLOCKS
        rows.append(
            {
                "quantity": name,
                "published": value,
                "published_error": error,
                "measured": float(result.values[i]),
                "error": float(result.errors[i]),
                "delta_error": float(result.delta_errors[i]),
                "unit": "1",
                "comparable": tight,
            }
        )
    return rows


def _is_setup_of_paper(config: Mapping[str, Any]) -> bool:
    """Whether a run measures what Table 2 has: a smooth equivariant network on all galaxies at year-10 noise."""
    estimator = config["estimator"]
    if estimator["path"] is None or estimator["kernel_fwhm"] is not None or config["selection"] is not None:
        return False
    network = load_card(Estimator(**estimator).weights)["config"]
    is_smooth = network.get("equivariant", True) and network.get("activation", "gelu") == "gelu"
    # Exchanged noise changes the errors, not what is measured; nor does it matter who draws the galaxies.
    observation = asdict(Observation()) | {name: config["observation"][name] for name in ("noise", "renderer")}
    limit = config["catalogue"]["magnitude_limit"]
    return bool(is_smooth and config["observation"] == observation and limit == MAGNITUDE_LIMIT)


def bias_result(outcome: BiasRun, config: Mapping[str, Any], galaxies: int) -> dict[str, Any]:
    """Return the content of ``result.json``."""
    published = PUBLISHED if _is_setup_of_paper(config) else {}
    rows = [] if outcome.bias is None else bias_rows(outcome.bias, published)
    if outcome.uncorrected is not None:
        rows += [row | {"quantity": f"{row['quantity']}_uncorrected"} for row in bias_rows(outcome.uncorrected, {})[:2]]
    return {
        "experiment": f"shear.bias {config['estimator']['name']}",
        "size": galaxies,
        "selection": config["selection"],
        "selected": outcome.bias.selected if outcome.bias else 0.0,
        "rows": rows,
        "run": outcome.run.record(),
    }


def write_results(directory: Path, outcome: BiasRun, config: Mapping[str, Any], galaxies: int) -> None:
    """Write ``result.json`` and ``run.json`` into a directory, each whole or not at all.

    A finished run that is resumed computes nothing: where its result is on record, so are its times.
    """
    result = bias_result(outcome, config, galaxies)
    if not outcome.run.objects and _is_on_record(result, directory):
        return
    record = {
        "configuration": config,
        **result["run"],
        "retries": outcome.run.retries,
        "quarantined": [asdict(q) for q in outcome.run.quarantined],
        "blocks": outcome.bias.blocks if outcome.bias else 0,
    }
    for file, content in (("result.json", result), ("run.json", record)):
        write_json(directory / file, content)


def _is_on_record(result: Mapping[str, Any], directory: Path) -> bool:
    """Whether both files are there, and the result in them is this one, but for the times of the run."""
    try:
        recorded, run = (json.loads((directory / name).read_text()) for name in ("result.json", "run.json"))
    except (FileNotFoundError, ValueError):
        return False
    # Through JSON, which keeps lists but no tuples.
    same = json.loads(json.dumps(result)) | {"run": None} == recorded | {"run": None}
    return bool(same and run["wall_s"] == recorded["run"]["wall_s"])
