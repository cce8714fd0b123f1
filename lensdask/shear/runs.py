"""Resumable runs over a cluster: simulate a store of stamps, measure a store, test the bias.

Each is a chunk function of `lensdask.compute.run` with the configuration that decides its result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array
from lensdask.compute import RunOptions, RunResult, Sums, Table, loaded, write_store
from lensdask.data import SHAPES, STAMPS, common_attributes
from lensdask.data import open as open_store
from lensdask.errors import InputError
from lensdask.shear.calibration.estimate import bias_of_sums
from lensdask.shear.calibration.selection import Selection
from lensdask.shear.calibration.shape_sums import shape_sums
from lensdask.shear.instrument import instrument_of_observation, instrument_of_stamps
from lensdask.shear.results import BiasRun, write_results
from lensdask.shear.shapes.estimator import Estimator, find_estimator
from lensdask.shear.shapes.measurement import as_table, measure_parts, measure_stamps
from lensdask.shear.simulation.catalogue import MAGNITUDE_LIMIT
from lensdask.shear.simulation.observation import Observation, four_shears
from lensdask.shear.stamps import (
    observed_stamps,
    simulate_chunk,
    simulated_galaxies,
    simulation_settings,
    stamps_template,
)
from lensdask.stats import block_length

__all__ = [
    "BiasRun",
    "blocks_and_tasks",
    "measure_run",
    "run_bias",
    "simulate_run",
    "simulated_shapes",
]

_TASK = 2048
"""Galaxies per task of a usual run: with four shears a second of a CPU core with FPFS, 15 with the shipped D4CNN."""

_TASKS = 8192
"""Tasks of a huge run: each writes a file per column, and a fault costs no more than minutes."""


def _even(galaxies: int) -> int:
    if galaxies < 4 or galaxies % 2:
        raise InputError(f"galaxies: {galaxies}; expected an even number, at least 4 (orthogonal pairs)")
    return galaxies


def simulate_run(
    path: Path,
    *,
    galaxies: int,
    observation: Observation | None = None,
    catalogue: Path | None = None,
    magnitude_limit: float = MAGNITUDE_LIMIT,
    seed: int = 0,
    chunk: int = 256,
    options: RunOptions | None = None,
) -> RunResult:
    """Simulate a store of stamps: orthogonal pairs of galaxies under four shears.

    Parameters
    ----------
    path
        Store to write, schema ``stamps``.
    galaxies
        Number of galaxies, even: 2p and 2p + 1 are an orthogonal pair.
    observation
        PSF, pixels, noise, shear.
    catalogue
        The user's CatSim file; the parametric mock when none.
    magnitude_limit
        Galaxies are brighter than this in i.
    seed
        Seed of galaxies, orientations and noise.
    chunk
        Galaxies per task and per chunk of the store.
    options
        Cluster, device, resumption.

    Raises
    ------
    InputError
        The output exists, the catalogue cannot be read, or a number makes no sense.
    """
    config = simulation_settings(observation or Observation(), catalogue, magnitude_limit, seed)
    template = stamps_template(_even(galaxies), config)
    return write_store(
        simulate_chunk,
        config,
        STAMPS,
        path,
        template,
        size=galaxies,
        chunk=chunk,
        label="simulate",
        options=options,
    )


def measure_chunk(start: int, stop: int, config: Mapping[str, Any], device: str) -> tuple[Table, Sums | None]:
    """Chunk function that measures a chunk of a store of stamps."""
    stamps = loaded(config["stamps"], config["stamps_hash"], slice(start, stop))
    images, ids = stamps["image"].values, stamps["galaxy"].values
    chosen, instrument = Estimator(**config["estimator"]), instrument_of_stamps(stamps)
    columns = measure_stamps(images, ids, instrument, chosen, seed=config["seed"], device=device)
    return dict(as_table(columns)), None


def measure_run(
    stamps_path: Path, path: Path, *, estimator: str | Path = "d4cnn", options: RunOptions | None = None
) -> RunResult:
    """Measure a store of stamps into a store of shapes.

    Parameters
    ----------
    stamps_path
        Store of stamps.
    path
        Store to write, schema ``shapes``.
    estimator
        ``d4cnn``, ``fpfs``, or the path of a network.
    options
        Cluster, device, resumption.

    Raises
    ------
    InputError
        The input is no store of stamps, the output exists, or the estimator is unknown.
    """
    stamps = open_store(stamps_path)
    if stamps.attrs["schema"] != STAMPS.name:
        raise InputError(f"{stamps_path}: a store of {stamps.attrs['schema']}; expected one of stamps")
    if path.resolve() == stamps_path.resolve():
        raise InputError(f"{path}: both the stamps and the shapes to write; expected two stores")
    chosen = find_estimator(estimator)
    seed = stamps.attrs["seed"]
    config = {
        "stamps": str(stamps_path.resolve()),
        "stamps_hash": stamps.attrs["configuration_hash"],
        "estimator": asdict(chosen),
        "seed": 0 if seed is None else seed,
    }
    names = [n for n in ("galaxy", "g1", "g2") if n in stamps.coords]
    template = {
        "sizes": {dim: stamps.sizes[dim] for dim in ("galaxy", "shear") if dim in stamps.dims},
        "coords": {n: stamps[n].values for n in names},
        "attributes": common_attributes(SHAPES, config) | {"estimator": chosen.name},
    }
    chunk = stamps.chunksizes["galaxy"][0]
    count = stamps.sizes["galaxy"]
    return write_store(
        measure_chunk,
        config,
        SHAPES,
        path,
        template,
        size=count,
        chunk=chunk,
        label="measure",
        options=options,
    )


def simulated_shapes(
    start: int, stop: int, config: Mapping[str, Any], device: str, estimators: Sequence[Mapping[str, Any]]
) -> list[npt.NDArray[np.float64]]:
    """Simulate a chunk of galaxies once; return what each estimator measures, shape (galaxy, 4, column)."""
    rows, ids, observation = simulated_galaxies(start, stop, config)
    seed = config["seed"]

    def draw(part: slice) -> Array:
        return observed_stamps(rows[part], ids[part], observation, seed, device)

    instrument, chosen = instrument_of_observation(observation, ids, seed), [Estimator(**e) for e in estimators]
    return measure_parts(draw, ids, instrument, chosen, seed=seed, device=device)


def bias_chunk(start: int, stop: int, config: Mapping[str, Any], device: str) -> tuple[Table, Sums | None]:
    """Chunk function that simulates, measures and sums up: nothing but shapes leaves the task."""
    (columns,) = simulated_shapes(start, stop, config, device, [config["estimator"]])
    selection = config["selection"] and Selection(**config["selection"])
    return dict(as_table(columns)), {"shapes": shape_sums(columns, config["galaxies_per_block"], selection)}


def blocks_and_tasks(galaxies: int, per_task: int | None = None) -> tuple[int, int]:
    """Return how many of so many simulated galaxies make a block, and how many a task: whole blocks.

    Without a wish, small runs have some tens of tasks, to share among workers, usual ones tasks of seconds, and huge
    ones some thousands of tasks.
    """
    per_block = 2 * block_length(_even(galaxies) // 2)
    if per_task is None:
        per_task = max(min(_TASK, galaxies // 32), galaxies // _TASKS)
    return per_block, -(-max(per_task, 1) // per_block) * per_block


def run_bias(
    directory: Path,
    *,
    galaxies: int,
    estimator: str | Path = "d4cnn",
    observation: Observation | None = None,
    catalogue: Path | None = None,
    magnitude_limit: float = MAGNITUDE_LIMIT,
    seed: int = 0,
    galaxies_per_task: int | None = None,
    replicas: int = 1000,
    selection: Selection | None = None,
    options: RunOptions | None = None,
) -> BiasRun:
    """Simulate galaxies under four shears, measure them, and compare the shear found with the shear applied.

    Parameters
    ----------
    directory
        Gets ``shapes.zarr``, its journal, ``result.json`` and ``run.json``.
    galaxies
        Number of galaxies, even.
    estimator
        ``d4cnn``, ``fpfs``, or the path of a network.
    observation, catalogue, magnitude_limit, seed
        Of the simulation, as in `simulate_run`.
    galaxies_per_task
        Rounded up to whole blocks of the bootstrap, chosen when none; does not change the result.
    replicas
        Bootstrap resamplings.
    selection
        Cut on what is measured, corrected for; its table of shapes still holds all galaxies.
    options
        Cluster, device, resumption.

    Raises
    ------
    InputError
        The output exists, or an input is not acceptable.
    """
    if replicas < 2:
        raise InputError(f"bootstrap: {replicas} resamplings; expected at least 2")
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory}: a file; expected a directory for the results")
    observation = observation or Observation()
    chosen = find_estimator(estimator)
    per_block, chunk = blocks_and_tasks(galaxies, galaxies_per_task)
    config = simulation_settings(observation, catalogue, magnitude_limit, seed) | {
        "estimator": asdict(chosen),
        "selection": selection and asdict(selection),
        "galaxies_per_block": per_block,
    }
    shears = four_shears(observation.shear)
    template = {
        "sizes": {"galaxy": galaxies, "shear": 4},
        "coords": {"galaxy": range(galaxies), "g1": shears[:, 0], "g2": shears[:, 1]},
        "attributes": common_attributes(SHAPES, config) | {"estimator": chosen.name},
    }
    result = write_store(
        bias_chunk,
        config,
        SHAPES,
        directory / "shapes.zarr",
        template,
        size=galaxies,
        chunk=chunk,
        label=f"bias {chosen.name}",
        options=options,
        results=tuple(directory / name for name in ("result.json", "run.json", "bias.png")),
    )
    outcome = BiasRun(None, result)
    sums = [s["shapes"] for s in result.sums if s is not None]
    if sums:
        biases = partial(bias_of_sums, np.concatenate(sums), observation.shear, seed=seed, replicas=replicas)
        try:
            outcome = BiasRun(biases(), result, biases(corrected=False) if selection else None)
        except InputError as error:
            # Only the cut was wrong: what is measured serves for another one.
            advice = f"the shapes are in {directory / 'shapes.zarr'}, try another cut with lensdask.shear.bias"
            raise InputError(f"{error}; {advice}") from error
    write_results(directory, outcome, config, galaxies)
    return outcome
