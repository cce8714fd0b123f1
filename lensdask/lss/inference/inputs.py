"""What an inference reads: simulations, prior, observation and mocks, checked before anything is computed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lensdask.errors import InputError, check_choice
from lensdask.lss.forward.model import PRIORS
from lensdask.lss.inference.prior import Prior, make_prior
from lensdask.lss.inference.summaries import Observation, Summaries, read_observation, read_summaries
from lensdask.lss.inference.trust.mocks import choose_mocks
from lensdask.lss.parameters import Parameter, find_parameters

__all__ = ["Inputs", "fiducial_of", "read_inputs"]

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Inputs:
    """What there is before anything is computed."""

    prior: Prior
    """Box and hull."""
    observed: Observation | None
    """What was observed; None for the fiducial summary, which needs the likelihood first."""
    mocks: Summaries | None
    """For the coverage."""
    rest: Summaries
    """For the likelihood: neither mocks nor what was observed."""

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters, in order."""
        return self.rest.names


def fiducial_of(names: tuple[str, ...], priors: str = "table1") -> Float64:
    """Return the fiducial parameters, shape (parameter,)."""
    return np.array([_known(priors)[name].fiducial for name in names])


def _known(priors: str) -> Mapping[str, Parameter]:
    """Return the parameters by name, with some priors.

    Raises
    ------
    InputError
        There are no such priors.
    """
    check_choice("priors", priors, tuple(PRIORS))
    return PRIORS[priors]


def read_inputs(
    summaries: Path,
    *,
    observation: str | int | Path,
    mocks: int,
    calibration: Path | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    cosmologies: npt.ArrayLike | None = None,
    seed: int = 0,
) -> Inputs:
    """Read and check what an inference needs; the arguments are those of `lensdask.lss.inference.infer.infer`.

    Raises
    ------
    InputError
        A store or a file is not what it should be, the observation or simulations lie outside of the prior, or too few
        simulations are left.
    """
    known = read_summaries(summaries)
    if cosmologies is None and len(known.cosmologies):
        cosmologies = known.cosmologies
    find_parameters(known.names)
    ends = {name: (_known(known.priors)[name].low, _known(known.priors)[name].high) for name in known.names}
    prior = make_prior(known.names, cosmologies, ends | dict(bounds or {}))
    known.require_inside(prior)
    observed, row = _find_observation(observation, known, prior)
    chosen, rest = _set_aside(known, mocks, calibration, row, prior, seed)
    return Inputs(prior, observed, chosen, rest)


def _find_observation(
    observation: str | int | Path, known: Summaries, prior: Prior
) -> tuple[Observation | None, int | None]:
    """Return the observation and its row; neither for the fiducial one, which needs the likelihood first."""
    if observation == "fiducial":
        if not prior.contains(fiducial_of(known.names, known.priors)):
            raise InputError("observation fiducial: outside of the prior; expected simulations around it, or a row")
        return None, None
    if isinstance(observation, int) or str(observation).lstrip("-").isdecimal():
        row, count = int(str(observation)), len(known.theta)
        if not 0 <= row < count:
            raise InputError(f"observation: row {row}; expected 0 to {count - 1}, a row of {known.where}")
        power = None if known.power is None else known.power[row]
        return Observation(known.summary[row], known.theta[row], f"row {row}", power), row
    path = Path(observation)
    if not path.exists():
        raise InputError(f"observation: {path} does not exist; expected fiducial, the number of a row, or a .npz file")
    return read_observation(path, known.names), None


def _set_aside(
    known: Summaries, mocks: int, calibration: Path | None, row: int | None, prior: Prior, seed: int
) -> tuple[Summaries | None, Summaries]:
    """Return the mocks, if any, and the samples that are left for the likelihood."""
    groups = known.groups()
    taken = np.zeros(len(groups), dtype=bool) if row is None else groups == groups[row]
    chosen = None
    if calibration is not None:
        others = read_summaries(calibration, least=1)
        known.require_like(others)
        others.require_inside(prior)
        if set(map(bytes, others.summary)) & set(map(bytes, known.summary)):
            raise InputError(f"{others.where}: has samples of {known.where}; expected mocks that are not learned from")
        chosen = others.rows(choose_mocks(others, mocks, seed)) if mocks else None
    elif mocks:
        rows = choose_mocks(known, mocks, seed)
        chosen, taken = known.rows(rows), taken | np.isin(groups, groups[rows])
    rest = known.rows(~taken)
    if len(rest.theta) < len(known.theta) / 2:
        raise InputError(
            f"{known.where}: {len(rest.theta)} of {len(known.theta)} samples are left once mocks and observation are "
            "set aside; expected more simulations, or fewer mocks"
        )
    return chosen, rest
