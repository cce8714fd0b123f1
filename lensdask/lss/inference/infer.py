"""``lensdask lss infer``: from a store of summaries to a chain, its numbers, and what shows whether to trust them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lensdask.compute import describe_device, run_record, torch_settings, write_json
from lensdask.data import write
from lensdask.errors import InputError
from lensdask.lss.inference.accuracy import Accuracy, measure_accuracy
from lensdask.lss.inference.chains import Chain, ChainSettings, chain_dataset, run_chain
from lensdask.lss.inference.ensemble import EnsembleSettings, log_posterior
from lensdask.lss.inference.likelihood import (
    Likelihood,
    LikelihoodRecipe,
    fit_likelihood,
    likelihood_recipe,
    split_summaries,
)
from lensdask.lss.inference.mocks import MockPosteriors, choose_mocks, run_mocks
from lensdask.lss.inference.novelty import Novelty
from lensdask.lss.inference.prior import Prior, make_prior
from lensdask.lss.inference.rows import accuracy_rows, chain_record, mock_rows, posterior_rows, warnings_of
from lensdask.lss.inference.summaries import Observation, Summaries, read_observation, read_summaries
from lensdask.lss.parameters import PARAMETERS

__all__ = ["Inference", "infer"]

Float64 = npt.NDArray[np.float64]
Report = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Inference:
    """What came of it."""

    result: dict[str, Any]
    """Content of ``result.json``."""
    names: tuple[str, ...]
    """Parameters, in order."""
    chain: Chain
    """Of the observation."""
    observation: Observation
    """What was observed."""
    accuracy: Accuracy
    """How well the likelihood describes simulations."""
    mocks: MockPosteriors | None
    """None where none were asked for."""


@torch_settings()
def infer(
    directory: Path,
    summaries: Path,
    *,
    observation: str | int | Path = "fiducial",
    mocks: int = 200,
    calibration: Path | None = None,
    density: str = "mdn",
    epochs: int | None = None,
    recipe: LikelihoodRecipe | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    chain: ChainSettings | None = None,
    ensemble: EnsembleSettings | None = None,
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    report: Report | None = None,
    warn: Callable[[str], None] | None = None,
) -> Inference:
    """Learn the likelihood of summaries, sample the posterior of an observation, and test it on mocks.

    Parameters
    ----------
    directory
        Gets ``likelihood.safetensors`` with its card, ``chains.zarr`` and ``result.json``.
    summaries
        Store of the schema ``lss_summaries``: simulations that the compressor was not trained on.
    observation
        "fiducial", the most likely summary at the fiducial parameters; the number of a row of `summaries`, which is not
        trained on; or a file (see `read_observation`).
    mocks
        Rows for the coverage; 0 for none. They come from `calibration` or are set aside from `summaries`.
    calibration
        Store of summaries of the same compressor at parameters drawn from the prior.
    density, epochs
        "mdn" or "flow", and passes over the training set; not looked at if there is a recipe.
    recipe
        Network and training of the likelihood.
    bounds
        Ends of the prior by name where they are not those of Table I.
    chain, ensemble
        Lengths of the chain of the observation and of those of mocks.
    seed
        Of everything random.
    device
        "auto", "cpu" or "cuda".
    overwrite
        Replace earlier results.
    resume
        Go on after an interruption; a finished likelihood is not trained again.
    report
        Told of the progress.
    warn
        Told, line by line, what speaks against the result.

    Raises
    ------
    InputError
        Something is wrong with the input (see `read_summaries`, `read_observation`), the observation lies outside of
        the training range, results exist, or the chain is too short to say anything.
    """
    began = time.perf_counter()
    tell = report or (lambda _stage, _done, _total: None)
    _check_directory(directory, overwrite=overwrite, resume=resume)
    inputs = _read(summaries, observation, mocks, calibration, bounds, seed)
    directory.mkdir(parents=True, exist_ok=True)
    wanted = recipe or likelihood_recipe(density, len(inputs.names), epochs=epochs, seed=seed)
    training = split_summaries(inputs.rest, wanted.validation, wanted.seed).training
    if inputs.observed is not None:
        inputs.rest.rows(training).require_in_range(inputs.observed.summary, inputs.observed.name)
    likelihood = fit_likelihood(
        directory / "likelihood.safetensors",
        inputs.rest,
        wanted,
        device=device,
        overwrite=overwrite,
        resume=resume,
        on_epoch=lambda done, _history: tell("likelihood", done, wanted.training.epochs),
    )
    observed = inputs.observed or _most_likely(likelihood, seed)
    inputs.rest.rows(training).require_in_range(observed.summary, observed.name)
    sampled = run_chain(
        log_posterior(likelihood, inputs.prior, observed.summary),
        inputs.prior,
        seed=seed,
        settings=chain,
        report=partial(tell, "chain"),
    )
    _write_chain(directory / "chains.zarr", sampled, observed, inputs.rest, {"seed": seed, "density": density})
    posteriors = None
    if inputs.mocks is not None:
        stage = partial(tell, f"{len(inputs.mocks.theta)} mocks")
        posteriors = run_mocks(likelihood, inputs.prior, inputs.mocks, seed=seed, settings=ensemble, report=stage)
    accuracy = measure_accuracy(likelihood, inputs.rest.rows(~training), seed)
    novelty = float(Novelty(inputs.rest.summary, seed).p_value(observed.summary[None])[0])
    result: dict[str, Any] = {
        "experiment": "lss.infer",
        "size": len(inputs.rest.theta),
        "observation": observed.name,
        "compressor_sha256": inputs.rest.compressor_sha256,
        "mocks_from": None if posteriors is None else str(calibration or f"rows set aside from {summaries}"),
        "rows": posterior_rows(inputs.names, sampled, observed.truth, novelty)
        + accuracy_rows(accuracy)
        + ([] if posteriors is None else mock_rows(posteriors)),
        "chain": chain_record(sampled),
        "warnings": warnings_of(sampled, novelty, posteriors),
        "run": run_record(describe_device(likelihood.device.type), time.perf_counter() - began, len(inputs.rest.theta)),
    }
    write_json(directory / "result.json", result)
    for line in result["warnings"]:
        (warn or (lambda _line: None))(line)
    return Inference(result, inputs.names, sampled, observed, accuracy, posteriors)


@dataclass(frozen=True)
class _Inputs:
    """What is read and checked before anything is computed."""

    prior: Prior
    observed: Observation | None
    """None for the fiducial one, which needs the likelihood first."""
    mocks: Summaries | None
    rest: Summaries
    """For the likelihood."""

    @property
    def names(self) -> tuple[str, ...]:
        """Parameters, in order."""
        return self.rest.names


def _read(
    summaries: Path,
    observation: str | int | Path,
    mocks: int,
    calibration: Path | None,
    bounds: Mapping[str, tuple[float, float]] | None,
    seed: int,
) -> _Inputs:
    known = read_summaries(summaries)
    prior = make_prior(known.names, known.cosmologies if len(known.cosmologies) else None, bounds)
    known.require_inside(prior)
    observed, row = _find_observation(observation, known, prior)
    chosen, rest = _set_aside(known, mocks, calibration, row, prior, seed)
    return _Inputs(prior, observed, chosen, rest)


def _most_likely(likelihood: Likelihood, seed: int) -> Observation:
    fiducial = np.array([PARAMETERS[name].fiducial for name in likelihood.names])
    return Observation(likelihood.most_likely(fiducial, seed), fiducial, "fiducial")


def _check_directory(directory: Path, *, overwrite: bool, resume: bool) -> None:
    if directory.exists() and (not directory.is_dir() or (directory / "zarr.json").exists()):
        raise InputError(f"{directory}: not a directory for results; expected OUT_DIR after the store")
    for name in ("result.json", "chains.zarr"):
        if (directory / name).exists() and not (overwrite or resume):
            raise InputError(f"{directory / name} exists; replace it with overwrite=True")


def _find_observation(
    observation: str | int | Path, known: Summaries, prior: Prior
) -> tuple[Observation | None, int | None]:
    """Return the observation and its row; neither for the fiducial one, which needs the likelihood first."""
    if observation == "fiducial":
        fiducial = np.array([PARAMETERS[name].fiducial for name in known.names])
        if not prior.contains(fiducial):
            raise InputError("observation fiducial: outside of the prior; expected simulations around it, or a row")
        return None, None
    if isinstance(observation, int) or str(observation).lstrip("-").isdigit():
        row, count = int(str(observation)), len(known.theta)
        if not 0 <= row < count:
            raise InputError(f"observation: row {row}; expected 0 to {count - 1}, a row of {known.where}")
        return Observation(known.summary[row], known.theta[row], f"row {row}"), row
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


def _write_chain(path: Path, chain: Chain, observed: Observation, known: Summaries, config: Mapping[str, Any]) -> None:
    attributes = {
        "compressor_sha256": known.compressor_sha256,
        "summaries_hash": known.configuration_hash,
        "seed": config["seed"],
        "observation_name": observed.name,
        "autocorrelation_times": round(chain.times, 2),
        "long_enough": chain.long_enough,
    }
    config = {**config, "observed": observed.summary.tolist(), "summaries": known.configuration_hash}
    dataset = chain_dataset(chain, observed.summary, names=known.names, attributes=attributes, config=config)
    write(dataset, path, overwrite=True)
