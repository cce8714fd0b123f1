"""``lensdask lss infer``: from a store of summaries to a chain, its numbers, and what shows whether to trust them."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lensdask.compute import describe_device, run_record, torch_settings, write_json
from lensdask.data import remove, write
from lensdask.errors import InputError
from lensdask.lss.inference.chains import Chain, ChainSettings, chain_dataset, run_chain
from lensdask.lss.inference.ensemble import EnsembleSettings, log_posterior
from lensdask.lss.inference.inputs import Inputs, fiducial_of, read_inputs
from lensdask.lss.inference.likelihood import Likelihood
from lensdask.lss.inference.rows import accuracy_rows, chain_record, mock_rows, posterior_rows, warnings_of
from lensdask.lss.inference.summaries import Observation, Summaries
from lensdask.lss.inference.training import LikelihoodRecipe, fit_likelihood, likelihood_recipe, split_summaries
from lensdask.lss.inference.trust.accuracy import Accuracy, measure_accuracy
from lensdask.lss.inference.trust.mocks import MockPosteriors, run_mocks
from lensdask.lss.inference.trust.novelty import Novelty, Score
from lensdask.places import local_path

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
    novelty: dict[str, Score]
    """Of the observation among the simulations, by what of it is compared."""
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
    cosmologies: npt.ArrayLike | None = None,
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
        "mdn" or "flow", and epochs of its training; not looked at if there is a recipe.
    recipe
        Network and training of the likelihood.
    bounds
        Ends of the prior by name where they are not those that the summaries were made with.
    cosmologies
        Pairs (Ω_m, σ₈) whose hull bounds the cosmology, shape (cosmology, 2); those of `summaries` when none.
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
    began, tell = time.perf_counter(), report or (lambda _stage, _done, _total: None)
    directory = local_path(directory, "a directory of results")
    _check_directory(directory, overwrite=overwrite, resume=resume)
    inputs = read_inputs(
        summaries,
        observation=observation,
        mocks=mocks,
        calibration=calibration,
        bounds=bounds,
        cosmologies=cosmologies,
        seed=seed,
    )
    wanted = recipe or likelihood_recipe(density, len(inputs.names), epochs=epochs, seed=seed)
    split = split_summaries(inputs.rest, wanted.validation, wanted.seed)
    training, validation = inputs.rest.rows(split.training), inputs.rest.rows(~split.training)
    if inputs.observed is not None:
        # What cannot be used is told before the training.
        training.require_in_range(inputs.observed.summary, inputs.observed.name)
    # Not before the input is accepted: a mistake must not cost earlier results.
    directory.mkdir(parents=True, exist_ok=True)
    _remove_older(directory, "fiducial" if inputs.observed is None else inputs.observed.name, overwrite=overwrite)
    likelihood = fit_likelihood(
        directory / "likelihood.safetensors",
        inputs.rest,
        wanted,
        device=device,
        overwrite=overwrite,
        resume=resume,
        on_epoch=lambda done, _history: tell("likelihood", done, wanted.training.epochs),
    )
    observed = inputs.observed or _most_likely(likelihood, inputs.rest.priors, seed)
    training.require_in_range(observed.summary, observed.name)
    sampled = _sample(directory / "chains.zarr", likelihood, inputs, observed, chain, seed, tell)
    found = Inference(
        {},
        inputs.names,
        sampled,
        observed,
        measure_accuracy(likelihood, validation, seed),
        _novelty(inputs.rest, observed, seed),
        _test(likelihood, inputs, ensemble, seed, tell),
    )
    source = None if found.mocks is None else str(calibration or f"rows set aside from {summaries}")
    found.result.update(_result(found, inputs.rest, set_aside=calibration is None) | {"mocks_from": source})
    device_name = describe_device(likelihood.device.type)
    found.result["run"] = run_record(device_name, time.perf_counter() - began, len(inputs.rest.theta))
    write_json(directory / "result.json", found.result)
    for line in found.result["warnings"]:
        (warn or (lambda _line: None))(line)
    return found


def _novelty(known: Summaries, observed: Observation, seed: int) -> dict[str, Score]:
    """Return how unlike the simulations an observation is: its summary, and its power where both have it."""
    features = {
        "the observation": (known.summary, observed.summary),
        "the power of its maps": (known.power, observed.power),
    }
    return {
        what: Novelty(simulated, seed).score(one)
        for what, (simulated, one) in features.items()
        if simulated is not None and one is not None
    }


def _most_likely(likelihood: Likelihood, priors: str, seed: int) -> Observation:
    fiducial = fiducial_of(likelihood.names, priors)
    return Observation(likelihood.most_likely(fiducial, seed), fiducial, "fiducial")


def _sample(
    path: Path,
    likelihood: Likelihood,
    inputs: Inputs,
    observed: Observation,
    settings: ChainSettings | None,
    seed: int,
    tell: Report,
) -> Chain:
    """Run the chain of the observation, and write it."""
    density = log_posterior(likelihood, inputs.prior, observed.summary)
    chain = run_chain(density, inputs.prior, seed=seed, settings=settings, report=partial(tell, "chain"))
    attributes = {
        "compressor_sha256": inputs.rest.compressor_sha256,
        "summaries_hash": inputs.rest.configuration_hash,
        "seed": seed,
        "observation_name": observed.name,
        "autocorrelation_times": round(chain.times, 2),
        "long_enough": chain.long_enough,
    }
    config = {
        "observed": observed.summary.tolist(),
        "samples": inputs.rest.sha256,
        "likelihood": asdict(likelihood.network.config),
        "settings": asdict(settings or ChainSettings()),
        "seed": seed,
    }
    dataset = chain_dataset(chain, observed.summary, names=inputs.names, attributes=attributes, config=config)
    write(dataset, path, overwrite=True)
    return chain


def _test(
    likelihood: Likelihood, inputs: Inputs, settings: EnsembleSettings | None, seed: int, tell: Report
) -> MockPosteriors | None:
    """Compare the posteriors of the mocks, if there are any, with the truth."""
    if inputs.mocks is None:
        return None
    stage = partial(tell, f"{len(inputs.mocks.theta)} mocks")
    return run_mocks(likelihood, inputs.prior, inputs.mocks, seed=seed, settings=settings, report=stage)


def _result(found: Inference, rest: Summaries, *, set_aside: bool) -> dict[str, Any]:
    """Return the content of ``result.json`` but for the entries about the run."""
    rows = posterior_rows(found.names, found.chain, found.observation.truth, found.novelty)
    rows += accuracy_rows(found.accuracy)
    rows += [] if found.mocks is None else mock_rows(found.mocks)
    return {
        "experiment": "lss.infer",
        "size": len(rest.theta),
        "observation": found.observation.name,
        "compressor_sha256": rest.compressor_sha256,
        "split": rest.split,
        "rows": rows,
        "chain": chain_record(found.chain),
        "warnings": rest.warnings + warnings_of(found.chain, found.novelty, found.mocks, set_aside=set_aside),
    }


def _remove_older(directory: Path, observation: str, *, overwrite: bool) -> None:
    """Remove earlier results: what an interruption leaves must not stand beside them.

    Raises
    ------
    InputError
        They are of another observation, and are not to be replaced.
    """
    result = directory / "result.json"
    is_known = result.exists() and not overwrite
    found = json.loads(result.read_text())["observation"] if is_known else observation
    if found != observation:
        raise InputError(f"{result} is of observation {found}; expected {observation}, or overwrite=True")
    for name in ("result.json", "corner.png", "trust.png"):
        (directory / name).unlink(missing_ok=True)
    if (directory / "chains.zarr").exists():
        remove(directory / "chains.zarr")


def _check_directory(directory: Path, *, overwrite: bool, resume: bool) -> None:
    if directory.exists() and (not directory.is_dir() or (directory / "zarr.json").exists()):
        raise InputError(f"{directory}: not a directory for results; expected OUT_DIR after the store")
    for name in ("result.json", "chains.zarr"):
        if (directory / name).exists() and not (overwrite or resume):
            raise InputError(f"{directory / name} exists; replace it with overwrite=True")
