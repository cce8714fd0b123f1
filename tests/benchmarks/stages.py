"""The stages that a galaxy goes through, each as a call on as many galaxies as a run has in one batch or part.

A simulated galaxy is four stamps, one for each shear, that share their noise and their renoise.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lensdask.arrays import held_on, like, to_torch
from lensdask.compute import Journal, cached_model
from lensdask.data import SHAPES, create, write_chunk
from lensdask.shear.calibration.shape_sums import shape_sums
from lensdask.shear.imaging import Imaging, imaging_of_observation
from lensdask.shear.noise import draw_image_noise, draw_renoise
from lensdask.shear.runs import blocks_and_tasks
from lensdask.shear.shapes.d4cnn import build_d4cnn
from lensdask.shear.shapes.estimator import find_estimator
from lensdask.shear.shapes.fpfs import fpfs_shapes, make_moments
from lensdask.shear.shapes.measurement import BATCH, COLUMNS, PART, as_table
from lensdask.shear.shapes.resmooth import make_resmoother, resmooth
from lensdask.shear.shapes.response import shapes_with_response
from lensdask.shear.simulation.catsim import MAGNITUDE_LIMIT
from lensdask.shear.simulation.observation import Observation, four_shears, noise_of
from lensdask.shear.simulation.render import _scene, render_stamps
from lensdask.shear.simulation.simulated import Simulation, galaxy_source, observed_stamps
from lensdask.shear.tasks import MeasureBias

SEED, SHEARS = 0, 4
POSES = "poses (part of rendering)"
NETWORKS = ("d4cnn", "d4cnn-paper")
TASK = 1000
"""Galaxies of a task, in blocks of 50."""
SLOW = ("d4cnn-paper",)
"""Networks of which a CPU gets fewer stamps."""


@dataclass(frozen=True)
class Stage:
    """One stage."""

    name: str
    unit: str
    """``stamp``, or ``galaxy`` for what the four stamps of a galaxy share."""
    units: int
    """Stamps or galaxies of a call."""
    call: Callable[[], object]
    in_torch: Callable[[], object] | None = None
    """The same in torch, to count operations; none for work of the host."""


def stages(device: str, folder: Path, networks: Sequence[str] = NETWORKS, galaxies: int | None = None) -> list[Stage]:
    """Return all stages on a device, of so many galaxies, or of a part; those that write do so in a folder."""
    ids = np.arange(galaxies or PART[device])
    observation = Observation()
    simulation = Simulation(observation, galaxy_source(None, MAGNITUDE_LIMIT), SEED)
    rows, _ = simulation.galaxies(0, len(ids))
    imaging = imaging_of_observation(observation, ids, SEED)
    images = to_torch(observed_stamps(rows, ids, replace(observation, renderer="batched"), SEED, device), device)
    images = images.reshape(-1, *images.shape[-2:])[: BATCH[device]]
    renoise = to_torch(draw_renoise(np.arange(len(images)), observation.size, imaging.noise, SEED), device)
    return [
        Stage("catalogue", "galaxy", len(ids), partial(simulation.galaxies, 0, len(ids))),
        *_rendering(rows, ids, observation, device),
        *_noise(ids, observation, device),
        *_measurement(images, renoise, imaging, device, networks),
        *_output(folder),
    ]


def _rendering(rows: Any, ids: np.ndarray, observation: Observation, device: str) -> Iterator[Stage]:
    poses = partial(_scene, rows, ids, observation, SEED, four_shears(observation.shear))
    yield Stage(POSES, "galaxy", len(ids), poses)
    for renderer in ("galsim", "batched"):
        clean = replace(observation, noise_sigma=0.0, renderer=renderer)
        draw = partial(observed_stamps, rows, ids, clean, SEED, device)
        # Counted in torch, also where a CPU draws with NumPy.
        in_torch = partial(render_stamps, rows, ids, clean, SEED, device=device) if renderer == "batched" else None
        yield Stage(f"render, {renderer}", "stamp", SHEARS * len(ids), draw, in_torch)


def _noise(ids: np.ndarray, observation: Observation, device: str) -> Iterator[Stage]:
    for name, draw in (("noise", draw_image_noise), ("renoise", draw_renoise)):
        arguments = observation.size, noise_of(observation), SEED
        call, in_torch = (
            partial(draw, held_on(ids, device), *arguments),
            partial(draw, to_torch(ids, device), *arguments),
        )
        yield Stage(name, "galaxy", len(ids), call, in_torch)


def _measurement(
    images: torch.Tensor, renoise: torch.Tensor, imaging: Imaging, device: str, networks: Sequence[str]
) -> Iterator[Stage]:
    moments = _placed(make_moments(imaging.psf, pixel_scale=imaging.pixel_scale), images)
    fpfs = partial(fpfs_shapes, images, moments, renoise)
    yield Stage("FPFS", "stamp", len(images), fpfs, fpfs)
    for name in networks:
        chosen = find_estimator(name)
        network = cached_model(build_d4cnn, chosen.weights, str(chosen.sha256), device)
        grid, fwhm = network.config.grid, network.config.kernel_fwhm
        resmoother = make_resmoother(imaging.psf, pixel_scale=imaging.pixel_scale, fwhm=fwhm, grid=grid)
        some = 8 if name in SLOW and device == "cpu" else len(images)
        smooth = partial(resmooth, images, _placed(resmoother, images), renoise)
        smoothed = type(smooth())(*(plane[:some] for plane in smooth()))
        forward, response = partial(network, smoothed.value), partial(shapes_with_response, network, smoothed)
        yield Stage(f"{name}: resmooth", "stamp", len(images), smooth, smooth)
        yield Stage(f"{name}: network forward", "stamp", some, forward, forward)
        yield Stage(f"{name}: network with response", "stamp", some, response, response)


def _placed(prepared: Any, reference: torch.Tensor) -> Any:
    """Return what was prepared for a PSF with its arrays beside the images, as runs have them."""
    return replace(prepared, **{n: like(a, reference) for n, a in vars(prepared).items() if isinstance(a, np.ndarray)})


def _output(folder: Path) -> Iterator[Stage]:
    """Yield what happens to the shapes of a task: block sums, store, journal."""
    shapes = np.random.default_rng(SEED).normal(size=(TASK, SHEARS, len(COLUMNS)))
    table, store = dict(as_table(shapes)), folder / "shapes.zarr"
    zeros, sizes = np.zeros(SHEARS), {"galaxy": TASK, "shear": SHEARS}
    attributes = {"configuration_hash": "0", "estimator": "fpfs"}
    create(store, SHAPES, sizes=sizes, coords={"galaxy": range(TASK), "g1": zeros, "g2": zeros}, attributes=attributes)
    sums = {"shapes": shape_sums(shapes, TASK // 20)}
    yield Stage("block sums", "galaxy", TASK, partial(shape_sums, shapes, TASK // 20))
    yield Stage("write", "galaxy", TASK, partial(write_chunk, store, 0, table))
    yield Stage("journal", "galaxy", TASK, partial(_journalled, folder / "journal", sums))


def _journalled(path: Path, sums: dict[str, np.ndarray]) -> None:
    """Append a task to an empty journal; it waits for the disk."""
    with Journal(path) as journal:
        journal.clear()
        journal.append(0, sums)


def bias_task(name: str, galaxies_per_block: int = 50) -> MeasureBias:
    """Return the task of an estimator, as `lensdask shear bias` has it by default."""
    source = galaxy_source(None, MAGNITUDE_LIMIT)
    return MeasureBias(Observation(), source, SEED, find_estimator(name), None, galaxies_per_block)


def bounds_of_tasks(galaxies: int, per_task: int | None = None) -> tuple[int, list[tuple[int, int]]]:
    """Return the block length of a run, and where its tasks start and stop; without a wish, of the default length."""
    per_block, length = blocks_and_tasks(galaxies, per_task)
    return per_block, [(start, min(start + length, galaxies)) for start in range(0, galaxies, length)]


def chunks(device: str, networks: Sequence[str] = NETWORKS, galaxies: int | None = None) -> list[Stage]:
    """Return whole chunks: simulation, measurement and sums of so many galaxies, or of as many as fill a part."""
    found = []
    for name in ("fpfs", *networks):
        count = BATCH[device] // SHEARS if name in SLOW and device == "cpu" else galaxies or PART[device]
        call = partial(bias_task(name), 0, count, device)
        found.append(Stage(name, "galaxy", count, call))
    return found
