"""Rows of the result file of an inference, and the lines that warn of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lensdask.compute import Row, row
from lensdask.lss.inference.chains import Chain
from lensdask.lss.inference.figure_of_merit import GAUSSIAN_AREA, contour_area, contour_area_kde, determinant
from lensdask.lss.inference.prior import COSMOLOGY, sigma8_of
from lensdask.lss.inference.trust.accuracy import Accuracy
from lensdask.lss.inference.trust.coverage import LEVELS
from lensdask.lss.inference.trust.mocks import MockPosteriors
from lensdask.lss.inference.trust.novelty import Score

__all__ = ["SUSPICIOUS", "accuracy_rows", "chain_record", "mock_rows", "posterior_rows", "warnings_of"]

Float64 = npt.NDArray[np.float64]

SUSPICIOUS = 1e-3
"""p-value below which a test fails."""

_R_HAT = 1.02
_MOCK_R_HAT = 1.1
"""Their chains are short: a quarter is about 60 independent draws."""

_QUANTILES = (("lower 95 %", 0.025), ("lower 68 %", 0.16), ("upper 68 %", 0.84), ("upper 95 %", 0.975))


def posterior_rows(
    names: tuple[str, ...], chain: Chain, truth: Float64 | None, novelty: Mapping[str, Score]
) -> list[Row]:
    """Return what a chain says of each parameter, of σ₈, of the figure of merit, and how new the observation is.

    Parameters
    ----------
    names
        Parameters, in order.
    chain
        The chain.
    truth
        Parameters of the observation, where they are known.
    novelty
        Of the observation among the simulations, by what of it is compared.
    """
    draws, times = chain.draws, chain.autocorrelation_time
    columns = {name: (draws[:, i], float(times[i])) for i, name in enumerate(names)}
    known = {} if truth is None else dict(zip(names, truth.tolist(), strict=True))
    rows = []
    if set(COSMOLOGY) <= set(names):
        columns["sigma8"] = (sigma8_of(*(columns[name][0] for name in COSMOLOGY)), max(times))
        if known:
            known["sigma8"] = float(sigma8_of(*(known[name] for name in COSMOLOGY)))
        rows = _merit_rows(np.stack([columns["omega_m"][0], columns["sigma8"][0]], axis=1))
    parameters = [one for name, (values, time) in columns.items() for one in _numbers(name, values, time, known)]
    scores = [
        row(f"p-value of {what} among the simulations", one.p_value, least=one.least) for what, one in novelty.items()
    ]
    return [*parameters, *rows, *scores]


def _numbers(name: str, values: Float64, time: float, known: dict[str, float]) -> list[Row]:
    """Return the rows about one parameter; errors are those of the chain."""
    scatter, independent = float(values.std(ddof=1)), len(values) / time
    truth: dict[str, Any] = {"truth": known[name]} if name in known else {}
    rows = [
        row(f"{name} mean", float(values.mean()), scatter / np.sqrt(independent), **truth),
        row(f"{name} standard deviation", scatter, scatter / np.sqrt(2 * independent)),
    ]
    return rows + [row(f"{name} {label}", float(np.quantile(values, share))) for label, share in _QUANTILES]


def _merit_rows(pairs: Float64) -> list[Row]:
    """Return the figure of merit of Ω_m and σ₈ by its three definitions."""
    named = {
        "1 / area of the 68 % contour, histogram of 400 x 400 cells": 1 / contour_area(pairs),
        "1 / area of the 68 % contour, smooth density": 1 / contour_area_kde(pairs),
        "1 / sqrt(det C)": 1 / determinant(pairs),
        "area of the 68 % contour of a Gaussian / smooth density": GAUSSIAN_AREA
        * determinant(pairs)
        / contour_area_kde(pairs),
    }
    return [row(f"figure of merit: {name}", value) for name, value in named.items()]


def accuracy_rows(accuracy: Accuracy) -> list[Row]:
    """Return mean and scatter of Δ_μ and Δ_σ (eqs. C1, C2), and what the scatter of a perfect likelihood would be."""
    rows = []
    for name, values, chance in (("Δμ", accuracy.mean, 1.0), ("Δσ", accuracy.scatter, 2.0)):
        values = values[np.isfinite(values)]
        error = float(values.std(ddof=1) / np.sqrt(len(values)))
        expected = 1 / np.sqrt(chance * accuracy.group)
        rows.append(row(f"{name} mean", float(values.mean()), error))
        rows.append(row(f"{name} scatter", float(values.std(ddof=1)), expected_by_chance=float(expected)))
    return rows


def mock_rows(mocks: MockPosteriors) -> list[Row]:
    """Return coverage, p-values and widths of the posteriors of mocks."""
    coverage, count = mocks.coverage, len(mocks.coverage.ranks)
    rows = []
    for level in LEVELS:
        error = float(np.sqrt(level * (1 - level) / count))
        for name, inside in zip(coverage.names, coverage.inside(level), strict=True):
            rows.append(row(f"coverage {level:.0%} of {name}", inside / count, error, expected=level, n=count))
    rows += [row(f"p-value, {name}", p, n=count) for name, p in coverage.p_values().items()]
    rows.append(row("p-value, ranks of all parameters", coverage.sbc_p, n=count))
    for name, scatters in zip(coverage.names, mocks.scatter.T, strict=True):
        rows.append(row(f"{name} standard deviation, median of mocks", float(np.median(scatters)), n=count))
    rows.append(row("autocorrelation times of the chain of a mock", mocks.times, n=count))
    rows.append(row("split R-hat of the chain of a mock, largest", float(mocks.r_hat.max()), n=count))
    rows.append(row("mocks left out, too far outside of the training range", mocks.left_out, n=count))
    return rows


def chain_record(chain: Chain) -> dict[str, Any]:
    """Return how long a chain is and whether it has converged."""
    walkers, steps, _ = chain.theta.shape
    return {
        "walkers": walkers,
        "steps": steps,
        "autocorrelation_times": chain.times,
        "long_enough": chain.long_enough,
        "r_hat": float(chain.r_hat.max()),
        "acceptance": chain.acceptance,
    }


def warnings_of(
    chain: Chain, novelty: Mapping[str, Score], mocks: MockPosteriors | None, *, set_aside: bool = False
) -> list[str]:
    """Return what speaks against a result, a line each.

    Parameters
    ----------
    chain, novelty, mocks
        The chain of the observation, its p-value among the simulations, and the posteriors of mocks, if there are any.
    set_aside
        Whether the mocks are at the cosmologies of the simulations, where the tests ask for draws from the prior.
    """
    lines = []
    if not chain.long_enough:
        lines.append(f"the chain is {chain.times:.0f} autocorrelation times long, less than asked for: more steps help")
    if chain.r_hat.max() > _R_HAT:
        lines.append(f"the halves of the chain disagree: split R-hat is {chain.r_hat.max():.3f}, expected 1")
    lines += [
        f"{what} is unlike the simulations (p = {one.p_value:.1g}): do not trust its posterior"
        for what, one in novelty.items()
        # Few simulations have no smaller p-value than that of the loneliest.
        if one.p_value < max(SUSPICIOUS, 1.01 * one.least)
    ]
    if mocks is None:
        return [*lines, "no mocks: whether the posterior covers the truth was not tested"]
    failed = {name: p for name, p in mocks.coverage.p_values().items() if p < SUSPICIOUS}
    if failed:
        named = ", ".join(f"{name} (p = {p:.1g})" for name, p in failed.items())
        line = f"posteriors of mocks do not cover the truth as they should: {named}"
        hint = "; they are at cosmologies of the simulations, not drawn from the prior: a calibration store tells more"
        lines.append(line + hint * set_aside)
    if (mocks.r_hat > _MOCK_R_HAT).any():
        lines.append(
            f"{int((mocks.r_hat > _MOCK_R_HAT).sum())} chains of mocks have not converged: a longer burn-in helps"
        )
    if mocks.left_out:
        lines.append(f"{mocks.left_out} mocks lie too far outside of the training range and were left out")
    return lines
