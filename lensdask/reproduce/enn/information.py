"""Where the information on dark matter is in images of lenses, where it should not be, and where a network looks.

What takes long is kept among the parts, a file of numbers for each of its rows.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lensdask.compute import Row, cached_model, row, write_json
from lensdask.data import load_card
from lensdask.data import open as open_store
from lensdask.random import Stream, generator
from lensdask.reproduce.enn.curves import PHYSICAL
from lensdask.reproduce.enn.study import Lesson, Study
from lensdask.reproduce.experiment import Job, Outcome, on_cluster
from lensdask.reproduce.massmaps.fields import image
from lensdask.stronglens import simulate
from lensdask.stronglens.evaluation.information import mass_bounds, substructure_snr
from lensdask.stronglens.evaluation.leaks import cut_predictions, neighbour_predictions, ring_radius
from lensdask.stronglens.evaluation.saliency import saliency
from lensdask.stronglens.nets.architectures import build_network
from lensdask.stronglens.simulation.drawing import draw_class
from lensdask.stronglens.simulation.presets import CLASSES, PRESETS, SIGNALS, SURVEYS, Signal

__all__ = ["SUBSTRUCTURE", "Substructure", "information", "looks_lessons", "vortices_of_mass"]

Float64 = npt.NDArray[np.float64]
Ids = npt.NDArray[np.int64]


class Substructure(NamedTuple):
    """Substructure of some lenses.

    Parameters
    ----------
    preset
        Name of the lenses.
    name
        Class of the substructure.
    signal
        What it is drawn from.
    """

    preset: str
    name: str
    signal: Signal


_CODED, _CDM = SIGNALS["as-coded"], SIGNALS["cdm"]

SUBSTRUCTURE = {
    "deeplensesim: CDM as coded": Substructure("deeplensesim", "cdm", _CODED),
    "deeplensesim: CDM, slope -1.9": Substructure("deeplensesim", "cdm", replace(_CODED, slope=-1.9)),
    "deeplensesim: CDM, slope -1.9, above 1e8": Substructure(
        "deeplensesim", "cdm", replace(_CODED, slope=-1.9, least_mass=1e8)
    ),
    "deeplensesim: vortex of 3e10": Substructure("deeplensesim", "vortex", _CODED),
    "deeplensesim: vortex of 3e9": Substructure("deeplensesim", "vortex", replace(_CODED, vortex_mass=3e9)),
    "physical: CDM as coded": Substructure("physical", "cdm", _CODED),
    "physical: CDM": Substructure("physical", "cdm", _CDM),
    "physical: CDM above 1e8": Substructure("physical", "cdm", replace(_CDM, least_mass=1e8)),
    "physical: vortex of 3e10": Substructure("physical", "vortex", _CDM),
    "physical: vortex of 3e9": Substructure("physical", "vortex", replace(_CDM, vortex_mass=3e9)),
}
"""What the signal-to-noise ratio is measured of, by the names of the series; masses in Msun."""

_LEAKS = {
    "deeplensesim, noise-free": ("deeplensesim", _CODED, False),
    "deeplensesim, noise of euclid": ("deeplensesim", _CODED, True),
    "physical, as coded": ("physical", _CODED, True),
    "physical": ("physical", _CDM, True),
}
"""Images whose classes are told apart without physics: preset, substructure, whether there is noise."""

_VORTICES = {
    "deeplensesim, points": ("deeplensesim", _CODED),
    "deeplensesim, line": ("deeplensesim", replace(_CODED, vortex="line")),
    "physical, line": ("physical", _CDM),
}
"""Vortices that the mass of the axion is measured from: preset and substructure."""

_MASSES = ((-24.0, -23.9), (-23.55, -23.45), (-23.05, -22.95), (-22.55, -22.45), (-22.3, -22.2))
"""Bins of log10 m in which vortices are measured."""

_COUNT = {"tiny": 8, "small": 320, "paper": 3200}
"""Lenses of a row."""

_SIZE = {"tiny": 32, "small": 64, "paper": 64}
"""Pixels on a side."""

_CLASSIFIERS = (
    "5 nearest neighbours in 30 principal components, all classes",
    "a cut in ring radius, none and CDM",
    "a cut in ring radius, none and vortex",
)

_TRAINING = {"tiny": 60, "small": 1500, "paper": 1500}
"""Images that the classifiers without physics learn from; as many are tested."""


def information(job: Job) -> Outcome:
    """Return S/N of substructure, what gives classes away, bounds on axion masses, and where a network looks."""
    job.parts.mkdir(parents=True, exist_ok=True)
    rows = [*_ratios(job), *_leaks(job), *_by_mass(job)]
    with on_cluster(job) as running:
        looks = list(_looks(Study.of(running)))
    return Outcome([*rows, *looks], sum(one["n"] for one in rows))


def _kept(job: Job, name: str, make: Callable[[], Float64]) -> Float64:
    """Return numbers of lenses, made unless they are among the parts."""
    path = job.parts / f"{name}.json"
    if not path.exists():
        write_json(path, {"values": make().tolist()})
    return np.asarray(json.loads(path.read_text())["values"], dtype=np.float64)


def _median(quantity: str, values: Float64, job: Job, **more: Any) -> Row:
    """Return the row of the median over lenses, with its error by bootstrap."""
    random = generator(job.seed, Stream.BOOTSTRAP, 0)
    medians = np.median(values[random.integers(len(values), size=(1000, len(values)))], axis=1)
    return row(quantity, float(np.median(values)), float(medians.std(ddof=1)), n=len(values), **more)


def _ratios(job: Job) -> Iterator[Row]:
    """Yield the rows of the signal-to-noise ratio of substructure."""
    ids = np.arange(_COUNT[job.size], dtype=np.int64)
    for survey in SURVEYS:
        for series, (preset, name, signal) in SUBSTRUCTURE.items():
            make = partial(substructure_snr, preset, survey, signal, name, ids, job.seed, size=_SIZE[job.size])
            values = _kept(job, f"{survey} {series}", make)
            yield _median(f"median S/N of substructure, {survey}", values, job, series=series)


def _leaks(job: Job) -> Iterator[Row]:
    """Yield the rows of classifiers without physics."""
    for series, (preset, signal, noise) in _LEAKS.items():
        scores = _kept(job, f"leaks {series}", partial(_scores, job, preset, signal, noise))
        for what, (right, count) in zip(_CLASSIFIERS, scores, strict=True):
            share = right / count
            # Where none or all are right, there is an error yet.
            error = (max(share * (1 - share), 1 / count) / count) ** 0.5
            yield row(f"accuracy of {what}", share, error, series=series, n=int(count))


def _scores(job: Job, preset: str, signal: Signal, noise: bool) -> Float64:
    """Return how many lenses classifiers are right about, and of how many, shape (classifier, 2)."""
    count, size = _TRAINING[job.size], _SIZE[job.size]
    about = simulate(images=2 * count, preset=preset, signal=signal, noise=noise, size=size, seed=job.seed)
    lenses = about[["image", "label"]].compute(scheduler="synchronous")
    images, label = lenses["image"].to_numpy(), lenses["label"].to_numpy().astype(np.int64)
    is_known = np.arange(2 * count) < count
    nearest = neighbour_predictions(images[is_known], label[is_known], images[~is_known])
    found = [(int((nearest == label[~is_known]).sum()), count)]
    radius = ring_radius(images, lenses.attrs["pixel_scale"])
    for number in range(1, len(CLASSES)):
        member = label == number
        known, others = ((member | (label == 0)) & part for part in (is_known, ~is_known))
        cut = cut_predictions(radius[known], member[known], radius[others])
        found.append((int((cut == member[others]).sum()), int(others.sum())))
    return np.array(found, dtype=np.float64)


def vortices_of_mass(low: float, high: float, count: int, seed: int) -> Ids:
    """Return the ids of the first lenses whose vortex is of an axion mass in a range.

    Parameters
    ----------
    low, high
        Of log10 m, within the prior.
    count
        How many ids.
    seed
        Of the simulation.
    """
    drawn = np.arange(int(3 * count / (high - low)) + 400, dtype=np.int64)
    lenses = draw_class(drawn, "vortex", PRESETS["physical"], _CDM, SURVEYS["euclid"], 0.0, seed)
    return drawn[(lenses.log10_mass >= low) & (lenses.log10_mass < high)][:count]


def _by_mass(job: Job) -> Iterator[Row]:
    """Yield the rows of vortices by axion mass: the bound on it, and the signal-to-noise ratio."""
    for survey, (low, high) in product(SURVEYS, _MASSES):
        ids = vortices_of_mass(low, high, _COUNT[job.size], job.seed)
        about = ids, job.seed
        name, place = f"{survey} {low:.2f}", {"x": round((low + high) / 2, 3)}
        for label, (preset, signal) in _VORTICES.items():
            make = partial(mass_bounds, preset, survey, signal, *about, size=_SIZE[job.size])
            values = _kept(job, f"bound {label} {name}", make)
            yield _median("median bound on log10 m", values, job, series=f"{label}, {survey}", unit="dex", **place)
        for series in ("deeplensesim: vortex of 3e10", "deeplensesim: vortex of 3e9"):
            preset, kind, signal = SUBSTRUCTURE[series]
            make = partial(substructure_snr, preset, survey, signal, kind, *about, size=_SIZE[job.size])
            values = _kept(job, f"{series} {name}", make)
            yield _median("median S/N by mass", values, job, series=f"{series}, {survey}", **place)


def looks_lessons(study: Study) -> list[Lesson]:
    """Return the training of the network whose derivatives are shown: one of the learning curve, of images alone."""
    return [Lesson("c8", PHYSICAL, study.plan.curve[-1])]


def _looks(study: Study) -> Iterator[Row]:
    """Yield a lens of each class, and how the logit of its class changes with each pixel."""
    (lesson,) = looks_lessons(study)
    study.train([lesson])
    weights = study.weights(lesson)
    network = cached_model(build_network, weights, load_card(weights)["sha256"], "cpu")
    lenses = open_store(study.lenses(lesson.lenses, tests=True))
    label, scale = lenses["label"].to_numpy(), float(lenses.attrs["pixel_scale"])
    first = np.array([np.argmax(label == number) for number in range(len(CLASSES))])
    images = lenses["image"].isel(lens=first).to_numpy()
    changes = saliency(network, images, label[first])
    for name, seen, change in zip(CLASSES, images, changes, strict=True):
        yield image(f"{name}: image", seen / seen.max(), scale)
        # The unit of a network is the median of the pixels and their deviation from it: two pixels that are these.
        end = np.percentile(abs(change), 99)
        yield image(f"{name}: change of its logit with each pixel", np.clip(change / end, -1, 1), scale)
