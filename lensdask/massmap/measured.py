"""How good a network is on the sky and in the survey that it was trained for, beside methods that need no training."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
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

__all__ = ["LOSS", "NOISES", "SMOOTHINGS", "measure_network", "measure_noise", "noise_range"]

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
    simulate = partial(simulate_run, fields=fields, sky=sky, survey=survey, seed=seed)
    smoothings = {f"ks93:{scale:g}": scale for scale in SMOOTHINGS}
    methods = {"wiener": "wiener", "network": network, "symmetrised": network} | dict.fromkeys(smoothings)
    rows = _compare(methods, folder, simulate, options)
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


NOISES = (0.7, 0.8, 0.85, 0.9, 1.0, 1.1, 1.15, 1.2, 1.3)
"""Noise over that of a network's training, at which it is compared with the Wiener filter."""


def measure_noise(
    network: str | Path,
    folder: Path,
    *,
    noises: Sequence[float] = NOISES,
    fields: int = 64,
    seed: int = 12345,
    footprint: Path | None = None,
    options: RunOptions | None = None,
) -> dict[str, Any]:
    """Compare a network with the Wiener filter where there are more or fewer galaxies than in its training.

    Parameters
    ----------
    network, folder, fields, seed, footprint, options
        As for `measure_network`. The fields have the same skies at every noise.
    noises
        Noise of a pixel over that of the training: the density of galaxies is divided by the square.

    Returns
    -------
    dict
        ``noises``, and for each of them ``rmse / wiener`` of the network, with value and error; and ``range``, the
        noises between which it is `LOSS` at most, or the ends of those that were measured.

    Raises
    ------
    InputError
        See `measure_network`.
    """
    (sky, survey), ratios = _surroundings(network, footprint), []
    for noise in noises:
        observed = replace(survey, density=survey.density / noise**2)
        simulate = partial(simulate_run, fields=fields, sky=sky, survey=observed, seed=seed)
        methods = {"wiener": "wiener", "network": network}
        rows = _compare(methods, folder / f"{noise:g}", simulate, options)
        ratios.append(_column(rows, methods, "rmse / wiener")["network"])
    bounds = noise_range(noises, [ratio["value"] for ratio in ratios])
    return {"fields": fields, "seed": seed, "noises": list(noises), "rmse / wiener": ratios, "range": bounds}


LOSS = 1.02
"""Error of a network over that of the Wiener filter from which on the user is warned: a loss of 2 %, which is several
times its statistical error."""


def noise_range(noises: Sequence[float], ratios: Sequence[float]) -> list[float]:
    """Return the ends of the noises about 1 at which the ratios, lines between those given, are `LOSS` at most."""
    grid = np.linspace(noises[0], noises[-1], 10_001)
    lost = grid[np.interp(grid, noises, ratios) > LOSS]
    return [float(max(lost[lost < 1], default=noises[0])), float(min(lost[lost > 1], default=noises[-1]))]


def _compare(
    methods: Mapping[str, str | Path | None],
    folder: Path,
    simulate: Callable[..., RunResult],
    options: RunOptions | None,
) -> list[dict[str, Any]]:
    """Return the rows of the evaluation of methods, each by its label; what has no name is named by its label."""
    truth, stores = folder / "maps.zarr", []
    _check_whole(simulate(truth, options=options))
    for label, method in methods.items():
        stores.append(folder / f"{label.replace(':', '-')}.zarr")
        is_mean = label == "symmetrised"
        # Of what a network is for, it is asked here.
        run = reconstruct_run(
            truth, stores[-1], method=method or label, symmetrised=is_mean, options=options, warn=lambda _: None
        )
        _check_whole(run)
    return list(evaluate(folder / "evaluation", stores, truth=truth, options=options)["rows"])


def _check_whole(run: RunResult) -> None:
    if run.quarantined:
        raise InputError(f"fields that could not be made, the first because of {run.quarantined[0].reason}")


def _surroundings(network: str | Path, footprint: Path | None) -> tuple[SkyConfig, Survey]:
    """Return the sky and the survey of the recipe of a network."""
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
