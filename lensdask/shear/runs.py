"""Resumable runs over a cluster: simulate a store of stamps, measure a store, test the bias."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from lensdask.compute import Chunks, NewStore, RunOptions, RunResult, refer_to, require_finished, run
from lensdask.data import SHAPES, STAMPS
from lensdask.data import open as open_store
from lensdask.data.template import coordinate_values
from lensdask.errors import InputError, check_number
from lensdask.places import PathLike, local_path, refuse_same
from lensdask.shear.calibration.estimate import Bias, bias_of_sums
from lensdask.shear.calibration.selection import Selection
from lensdask.shear.imaging import imaging_of_observation
from lensdask.shear.results import BiasRun, write_results
from lensdask.shear.shapes.columns import check_width
from lensdask.shear.shapes.estimator import find_estimator
from lensdask.shear.shapes.measurement import check_places, travelling_columns
from lensdask.shear.simulation.catsim import MAGNITUDE_LIMIT
from lensdask.shear.simulation.observation import Observation, four_shears
from lensdask.shear.simulation.simulated import galaxy_source
from lensdask.shear.tasks import MeasureBias, MeasureStamps, SimulateStamps
from lensdask.stats import MOST_RESAMPLINGS, block_length

__all__ = ["BiasRun", "blocks_and_tasks", "measure_run", "run_bias", "simulate_run"]

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
    source = galaxy_source(catalogue, magnitude_limit)
    task = SimulateStamps(observation or Observation(), source, seed)
    chunks = Chunks(_even(galaxies), chunk, "galaxies")
    return run(task, chunks, _stamps_store(path, task, galaxies), options, label="simulate")


def _stamps_store(path: Path, task: SimulateStamps, count: int) -> NewStore:
    """Return the store of simulated stamps to write."""
    observation, ids = task.observation, range(count)
    shears, imaging = four_shears(observation.shear), imaging_of_observation(observation, ids, task.seed)
    attributes = {
        "pixel_scale": observation.pixel_scale,
        "noise_sigma": observation.noise_sigma,
        "noise_of_pairs": observation.noise,
        "seed": task.seed,
        "origin": "(n-1)/2",
    }
    sizes = {"galaxy": count, "shear": 4, "y": observation.size, "x": observation.size}
    coords = {"galaxy": ids, "g1": shears[:, 0], "g2": shears[:, 1]}
    fixed = {"psf": imaging.psf}
    if imaging.psf_index is not None:
        sizes, coords = sizes | {"psf_number": observation.psfs}, coords | {"psf_index": imaging.psf_index}
    if imaging.noise_correlation is not None:
        sizes |= {"lag_y": observation.size, "lag_x": observation.size}
        fixed |= {"noise_correlation": imaging.noise_correlation}
    return NewStore(path, STAMPS, sizes, coords, attributes, fixed)


def measure_run(
    stamps_path: PathLike,
    path: Path,
    *,
    estimator: str | Path = "d4cnn",
    recentre: bool = False,
    options: RunOptions | None = None,
) -> RunResult:
    """Measure a store of stamps into a store of shapes.

    Parameters
    ----------
    stamps_path
        Store of stamps, or its URL.
    path
        Store to write, schema ``shapes``.
    estimator
        ``d4cnn``, ``fpfs``, or the path of a network.
    recentre
        Measure galaxies about their centroids, see `lensdask.shear.measure`.
    options
        Cluster, device, resumption.

    Raises
    ------
    InputError
        The input is no store of stamps or not finished, the output exists, or the estimator is unknown.
    """
    stamps = open_store(stamps_path)
    if stamps.attrs["schema"] != STAMPS.name:
        raise InputError(f"{stamps_path}: a store of {stamps.attrs['schema']}; expected one of stamps")
    require_finished(stamps_path, "lensdask shear simulate")
    refuse_same(path, stamps_path)
    chosen, columns = find_estimator(estimator, recentre=recentre), travelling_columns(stamps)
    check_places(chosen, stamps)
    check_width(chosen, stamps.sizes["x"], stamps.attrs["pixel_scale"])
    task = MeasureStamps(refer_to(stamps_path, stamps), chosen, stamps.attrs["seed"] or 0)
    store = NewStore(
        path,
        SHAPES.with_columns_of(columns),
        sizes={dim: stamps.sizes[dim] for dim in ("galaxy", "shear") if dim in stamps.dims},
        coords={n: coordinate_values(stamps[n]) for n in ("galaxy", "g1", "g2", *columns.coords) if n in stamps.coords},
        attributes={"estimator": chosen.name},
        measured=tuple(SHAPES.variables),
        fixed={str(name): column.values for name, column in columns.data_vars.items()},
    )
    chunks = Chunks(stamps.sizes["galaxy"], stamps.chunksizes["galaxy"][0], "galaxies")
    return run(task, chunks, store, options, label="measure")


def blocks_and_tasks(galaxies: int, per_task: int | None = None) -> tuple[int, int]:
    """Return how many of so many simulated galaxies make a block, and how many a task: whole blocks.

    Without a wish, small runs have some tens of tasks, to share among workers, usual ones tasks of seconds, and huge
    ones some thousands of tasks.
    """
    per_block = 2 * block_length(_even(galaxies) // 2)
    if per_task is None:
        per_task = max(min(_TASK, galaxies // 32), galaxies // _TASKS)
    else:
        check_number("galaxies_per_task", per_task, least=1, whole=True)
    return per_block, -(-max(per_task, 1) // per_block) * per_block


def run_bias(
    directory: Path,
    *,
    galaxies: int,
    estimator: str | Path = "d4cnn",
    recentre: bool = False,
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
        Gets ``shapes.zarr``, its journal, ``result.json`` and ``run.json``; what the former says is also returned.
    galaxies
        Number of galaxies, even.
    estimator
        ``d4cnn``, ``fpfs``, or the path of a network.
    recentre
        Measure galaxies about their centroids, see `lensdask.shear.measure`.
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
    check_number("bootstrap", replicas, least=2, most=MOST_RESAMPLINGS, whole=True, meaning="resamplings")
    directory = local_path(directory, "a directory of results")
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory} is a file; expected a directory for the results")
    observation, chosen = observation or Observation(), find_estimator(estimator, recentre=recentre)
    check_width(chosen, observation.size, observation.pixel_scale)
    per_block, chunk = blocks_and_tasks(galaxies, galaxies_per_task)
    source = galaxy_source(catalogue, magnitude_limit)
    task = MeasureBias(observation, source, seed, chosen, selection, per_block)
    shears = four_shears(observation.shear)
    store = NewStore(
        directory / "shapes.zarr",
        SHAPES,
        sizes={"galaxy": galaxies, "shear": 4},
        coords={"galaxy": range(galaxies), "g1": shears[:, 0], "g2": shears[:, 1]},
        attributes={"estimator": chosen.name},
        measured=tuple(SHAPES.variables),
        beside=tuple(directory / name for name in ("result.json", "run.json", "bias.png")),
    )
    done = run(task, Chunks(galaxies, chunk, "galaxies"), store, options, label=f"bias {chosen.name}")
    outcome = BiasRun(*_biases(done, task, store, replicas), done)
    return replace(outcome, result=write_results(directory, outcome, task, galaxies))


def _biases(done: RunResult, task: MeasureBias, store: NewStore, replicas: int) -> tuple[Bias | None, Bias | None]:
    """Return the biases, and with a cut those of an analysis without its selection response."""
    sums = [s["shapes"] for s in done.sums if s is not None]
    if not sums:
        return None, None
    of_sums = partial(bias_of_sums, np.concatenate(sums), task.observation.shear, seed=task.seed, replicas=replicas)
    try:
        return of_sums(), of_sums(corrected=False) if task.selection else None
    except InputError as error:
        # Only the cut was wrong: what is measured serves for another one.
        raise InputError(
            f"{error}; the shapes are in {store.path}, apply another cut with lensdask.shear.bias"
        ) from error
