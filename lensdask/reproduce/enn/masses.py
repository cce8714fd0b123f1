"""Masses of axions from images: errors by mass, beside what no estimate can beat; and the numbers of table 2."""

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from lensdask.compute import Row
from lensdask.data import open as open_store
from lensdask.reproduce.enn.measures import Bootstrapped, bootstrapped, predicted, row_of
from lensdask.reproduce.enn.plans import LABELS
from lensdask.reproduce.enn.published import MODELS, TABLE2, WHY_NO_MASSES
from lensdask.reproduce.enn.study import Lenses, Lesson, Study
from lensdask.reproduce.experiment import Job, Outcome, on_cluster
from lensdask.stronglens.evaluation.information import mass_bounds

__all__ = ["EDGES", "scatter_over_slope", "table2", "table2_lessons"]

Float64 = npt.NDArray[np.float64]

EDGES = np.linspace(-24.0, -22.0, 5)
"""Of the bins of log10 (m / eV)."""

_CONSTANT = -23.0
"""Mean of the prior."""


def _rmse(found: Float64, true: Float64) -> float:
    return float(np.sqrt(np.mean((found - true) ** 2)))


def _mse(found: Float64, true: Float64) -> float:
    return float(np.mean((found - true) ** 2))


def _mae(found: Float64, true: Float64) -> float:
    return float(np.mean(abs(found - true)))


def _slope_and_scatter(found: Float64, true: Float64) -> tuple[float, float]:
    """Return slope and scatter of a straight line through estimates against the truth."""
    off_true, off_found = true - true.mean(), found - found.mean()
    slope = (off_true * off_found).sum() / (off_true**2).sum()
    return float(slope), float(np.sqrt(np.mean((off_found - slope * off_true) ** 2)))


def scatter_over_slope(found: Float64, true: Float64) -> float:
    """Return the scatter of estimates over the slope of their mean against the truth, both from a straight line.

    An estimate that is pulled to the prior has little scatter, but its mean hardly follows the truth: by the
    Cramér-Rao inequality for biased estimates it is this ratio that the bound holds for.

    Parameters
    ----------
    found, true
        log10 m, shape (lens,).
    """
    slope, scatter = _slope_and_scatter(found, true)
    # One answer for all lenses says nothing.
    return scatter / abs(slope) if slope else math.inf


def _slope(found: Float64, true: Float64) -> float:
    return _slope_and_scatter(found, true)[0]


_DEX: Mapping[str, Callable[..., float]] = MappingProxyType({"RMSE": _rmse, "MAE": _mae})
_EV: Mapping[str, tuple[Callable[..., float], str]] = MappingProxyType(
    {"RMSE of m": (_rmse, "eV"), "MSE of m": (_mse, "eV2"), "MAE of m": (_mae, "eV")}
)


def _lesson(study: Study, model: str, network: str) -> Lesson:
    lenses = Lenses("physical", MODELS[model], "as-coded", ("vortex",))
    return Lesson(network, lenses, study.plan.table2, task="mass")


def table2_lessons(study: Study) -> list[Lesson]:
    """Return the trainings of table 2."""
    return [_lesson(study, model, network) for model in MODELS for network in study.plan.tables]


def table2(job: Job) -> Outcome:
    """Return errors of log10 m of all networks on both models by mass, with bounds; and those of m itself."""
    rows: list[Row] = []
    with on_cluster(job) as running:
        study = Study.of(running)
        study.train(table2_lessons(study))
        for model in MODELS:
            rows += _model_rows(study, model)
    return Outcome(rows, study.plan.tests * len(table2_lessons(study)))


def _model_rows(study: Study, model: str) -> list[Row]:
    """Return the rows of a model: networks, the constant, and the bound."""
    bounds, rows = _bounds(study, model), []
    for network in study.plan.tables:
        found, _, true = predicted(study, _lesson(study, model, network))
        series = f"{model}: {LABELS[network]}"
        rows += _error_rows(study, series, found, true)
        rows += _slope_rows(study, series, found, true, bounds)
        rows += _published_rows(study, series, found, true, TABLE2.get((model, network), (None, None, None)))
    rows += _error_rows(study, f"{model}: the same mass for all", np.full_like(true, _CONSTANT), true)
    for name, by_bin in bounds.items():
        rows += [row_of(name, one, unit="dex", series=model, x=x) for x, one in by_bin.items()]
    return rows


def _bins(true: Float64) -> Iterator[tuple[float, npt.NDArray[np.bool_]]]:
    """Yield the middle of each bin and which lenses are in it."""
    for low, high in pairwise(EDGES):
        yield float((low + high) / 2), (true >= low) & (true < high)


def _measured(study: Study, statistic: Callable[..., float], *arrays: Float64) -> Bootstrapped:
    return bootstrapped(statistic, [arrays], replicas=study.plan.replicas, seed=study.seed)


def _error_rows(study: Study, series: str, found: Float64, true: Float64) -> list[Row]:
    rows = []
    for name, statistic in _DEX.items():
        whole = _measured(study, statistic, found, true)
        rows.append(row_of(f"{name} of log10 m, all masses", whole, unit="dex", series=series, n=len(true)))
        for x, inside in _bins(true):
            here = _measured(study, statistic, found[inside], true[inside])
            rows.append(row_of(f"{name} of log10 m", here, unit="dex", series=series, x=x, n=int(inside.sum())))
    return rows


def _slope_rows(
    study: Study, series: str, found: Float64, true: Float64, bounds: Mapping[str, Mapping[float, Bootstrapped]]
) -> list[Row]:
    """Return slope, scatter over slope, and how much of the bound that is, by bin."""
    rows = []
    for x, inside in _bins(true):
        here, place = (found[inside], true[inside]), {"series": series, "x": x}
        rows.append(row_of("slope", _measured(study, _slope, *here), **place))
        ratio = _measured(study, scatter_over_slope, *here)
        rows.append(row_of("scatter over slope", ratio, unit="dex", **place))
        bound = bounds[_MEDIAN][x]
        share = Bootstrapped(bound.value / ratio.value, bound.replicas / ratio.replicas)
        rows.append(row_of("bound over scatter over slope", share, **place))
    return rows


def _published_rows(
    study: Study, series: str, found: Float64, true: Float64, printed: tuple[float | None, ...]
) -> list[Row]:
    """Return the errors of m in eV, which is what Table 2 is of; they cannot be held against it."""
    rows = []
    for (name, (statistic, unit)), value in zip(_EV.items(), printed, strict=True):
        more: dict[str, Any] = {} if value is None else {"published": value, "why": WHY_NO_MASSES}
        rows.append(row_of(name, _measured(study, statistic, 10**found, 10**true), unit=unit, series=series, **more))
    return rows


_MEDIAN, _MEAN = "Cramér-Rao bound, median", "Cramér-Rao bound, mean information"


def _bounds(study: Study, model: str) -> dict[str, dict[float, Bootstrapped]]:
    """Return the bound by bin: of the median lens, and that of the mean information of all lenses, which is less."""
    lenses = _lesson(study, model, next(iter(study.plan.tables))).lenses
    with open_store(study.lenses(lenses, tests=True)) as store:
        chosen = store.isel(lens=slice(study.plan.bounds))
        ids, true = chosen["lens"].to_numpy(), chosen["log10_mass"].to_numpy().astype(np.float64)
        seed = int(store.attrs["seed"])
    bound = mass_bounds(lenses.preset, lenses.survey, lenses.signal, ids, seed, size=study.plan.pixels)
    statistics = {_MEDIAN: lambda each: float(np.median(each)), _MEAN: lambda each: float(np.mean(each**-2.0) ** -0.5)}
    return {
        name: {x: _measured(study, statistic, bound[inside]) for x, inside in _bins(true)}
        for name, statistic in statistics.items()
    }
