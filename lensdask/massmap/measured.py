"""How good a network is on the sky and in the survey that it was trained for, beside methods that need no training."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lensdask.compute import RunOptions, RunResult
from lensdask.data import load_card
from lensdask.errors import InputError
from lensdask.maps.mock import Survey
from lensdask.massmap.evaluation import evaluate
from lensdask.massmap.method import find_method
from lensdask.massmap.runs import reconstruct_run, simulate_run
from lensdask.sky.simulate import SkyConfig

__all__ = ["SMOOTHINGS", "measure_network"]

SMOOTHINGS = tuple(np.linspace(0.8, 3.0, 12).round(1).tolist())
"""Standard deviations of the Gaussian, arcmin, of which Kaiser and Squires gets the best."""


def measure_network(
    network: str | Path,
    folder: Path,
    *,
    fields: int = 64,
    seed: int = 12345,
    footprint: Path | None = None,
    options: RunOptions | None = None,
) -> dict[str, Any]:
    """Compare a network with the linear methods on fields as its recipe has them, but which no training met.

    Parameters
    ----------
    network
        A shipped network, or the file of its weights.
    folder
        Empty or new; gets the stores of the maps.
    fields
        How many; their ids are 0, 1, ..., and those of training begin at
        `lensdask.massmap.networks.trainingset.FIRST_TRAINING`.
    seed
        Of sky, galaxies and masks.
    footprint
        File in place of the recipe's, which may be gone.
    options
        Cluster and device.

    Returns
    -------
    dict
        ``rmse``, the root mean square error of the convergence over all pixels inside the mask, and ``rmse / wiener``,
        whose error is small since the fields are the same: for the ``network``, for it ``symmetrised``, for ``ks93`` at
        its best smoothing, and for ``wiener``, which knows the true power, each with value and error from the scatter
        between fields. ``ks93_smoothing`` is that best smoothing in arcmin.

    Raises
    ------
    InputError
        The network did not learn from simulated fields, the folder holds such stores, the footprint cannot be read, or
        a field could not be made.
    """
    sky, survey = _surroundings(network, footprint)
    truth, stores = folder / "maps.zarr", []
    _check_whole(simulate_run(truth, fields=fields, sky=sky, survey=survey, seed=seed, options=options))
    smoothings = {f"ks93:{scale:g}": scale for scale in SMOOTHINGS}
    methods = {"wiener": "wiener", "network": network, "symmetrised": network} | dict.fromkeys(smoothings)
    for label, method in methods.items():
        stores.append(folder / f"{label.replace(':', '-')}.zarr")
        is_mean = label == "symmetrised"
        run = reconstruct_run(truth, stores[-1], method=method or label, symmetrised=is_mean, options=options)
        _check_whole(run)
    rows = evaluate(folder / "evaluation", stores, truth=truth, options=options)["rows"]
    errors, ratios = (_column(rows, methods, quantity) for quantity in ("rmse", "rmse / wiener"))
    best = min(smoothings, key=lambda label: errors[label]["value"])
    names = {"network": "network", "symmetrised": "symmetrised", "ks93": best}
    return {
        "fields": fields,
        "seed": seed,
        "ks93_smoothing": smoothings[best],
        "rmse": {name: errors[label] for name, label in (names | {"wiener": "wiener"}).items()},
        "rmse / wiener": {name: ratios[label] for name, label in names.items()},
    }


def _check_whole(run: RunResult) -> None:
    if run.quarantined:
        raise InputError(f"fields that could not be made, the first because of {run.quarantined[0].reason}")


def _surroundings(network: str | Path, footprint: Path | None) -> tuple[SkyConfig, Survey]:
    """Return sky and survey of the recipe of a network."""
    path = find_method(network).weights
    card = load_card(path)
    recipe = card.get("recipe")
    if not recipe or card.get("data", {}).get("store"):
        raise InputError(f"{path}: not trained on simulated fields; expected a card with the recipe of sky and noise")
    # A card of lensdask 0.1 says "noise".
    survey = Survey(**recipe["survey" if "survey" in recipe else "noise"])
    return SkyConfig(**recipe["sky"]), survey if footprint is None else replace(survey, footprint=str(footprint))


def _column(rows: list[dict[str, Any]], labels: Iterable[str], quantity: str) -> dict[str, dict[str, float]]:
    """Return a quantity with its error by the labels of the methods, in the order of the rows."""
    series = dict(zip(dict.fromkeys(row["series"] for row in rows), labels, strict=True))
    chosen = [row for row in rows if row["quantity"] == quantity]
    return {series[row["series"]]: {"value": row["measured"], "error": row["error"]} for row in chosen}
