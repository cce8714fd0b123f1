"""Where the information on dark matter is in images of lenses, where it should not be, and where a network looks."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lensdask.compute import Row, cached_model, row
from lensdask.data import load_card
from lensdask.data import open as open_store
from lensdask.random import Stream, generator
from lensdask.reproduce.enn.curves import PHYSICAL
from lensdask.reproduce.enn.parts import make_parts, values_of
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
Makes = dict[str, Callable[[], Float64]]


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

_BY_MASS = ("deeplensesim: vortex of 3e10", "deeplensesim: vortex of 3e9")
"""Substructure whose signal-to-noise ratio is measured by mass too."""

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
    with on_cluster(job) as running:
        # Bounds take the longest.
        make_parts(running, _of_masses(job) | _of_signals(job) | _of_leaks(job))
        rows = [*_ratios(job), *_leaks(job), *_by_mass(job)]
        looks = list(_looks(Study.of(running)))
    return Outcome([*rows, *looks], sum(one["n"] for one in rows))


def _median(quantity: str, values: Float64, job: Job, **more: Any) -> Row:
    """Return the row of the median over lenses, with its error by bootstrap."""
    random = generator(job.seed, Stream.BOOTSTRAP, 0)
    medians = np.median(values[random.integers(len(values), size=(1000, len(values)))], axis=1)
    return row(quantity, float(np.median(values)), float(medians.std(ddof=1)), n=len(values), **more)


def _of_signals(job: Job) -> Makes:
    """Return what makes the signal-to-noise ratios of substructure."""
    ids, size = np.arange(_COUNT[job.size], dtype=np.int64), _SIZE[job.size]
    return {
        f"{survey} {series}": partial(substructure_snr, preset, survey, signal, name, ids, job.seed, size=size)
        for survey, (series, (preset, name, signal)) in product(SURVEYS, SUBSTRUCTURE.items())
    }


def _ratios(job: Job) -> Iterator[Row]:
    """Yield their rows."""
    for survey, series in product(SURVEYS, SUBSTRUCTURE):
        values = values_of(job, f"{survey} {series}")
        yield _median(f"median S/N of substructure, {survey}", values, job, series=series)


def _of_leaks(job: Job) -> Makes:
    """Return what makes the scores of classifiers without physics."""
    return {f"leaks {series}": partial(_scores, job.size, job.seed, *images) for series, images in _LEAKS.items()}


def _leaks(job: Job) -> Iterator[Row]:
    """Yield their rows."""
    for series in _LEAKS:
        scores = values_of(job, f"leaks {series}")
        for what, (right, count) in zip(_CLASSIFIERS, scores, strict=True):
            share = right / count
            # Where none or all are right, there is an error yet.
            error = (max(share * (1 - share), 1 / count) / count) ** 0.5
            yield row(f"accuracy of {what}", share, error, series=series, n=int(count))


def _scores(plan: str, seed: int, preset: str, signal: Signal, noise: bool) -> Float64:
    """Return how many lenses classifiers are right about, and of how many, shape (classifier, 2)."""
    count, size = _TRAINING[plan], _SIZE[plan]
    about = simulate(images=2 * count, preset=preset, signal=signal, noise=noise, size=size, seed=seed)
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


def _of_masses(job: Job) -> Makes:
    """Return what makes the bounds on the masses of axions, and the signal-to-noise ratios by mass."""
    makes: dict[str, Callable[[], Float64]] = {}
    for survey, (low, high) in product(SURVEYS, _MASSES):
        about = vortices_of_mass(low, high, _COUNT[job.size], job.seed), job.seed
        name, size = f"{survey} {low:.2f}", _SIZE[job.size]
        for label, (preset, signal) in _VORTICES.items():
            makes[f"bound {label} {name}"] = partial(mass_bounds, preset, survey, signal, *about, size=size)
        for series in _BY_MASS:
            preset, kind, signal = SUBSTRUCTURE[series]
            makes[f"{series} {name}"] = partial(substructure_snr, preset, survey, signal, kind, *about, size=size)
    return makes


def _by_mass(job: Job) -> Iterator[Row]:
    """Yield their rows."""
    for survey, (low, high) in product(SURVEYS, _MASSES):
        name, place = f"{survey} {low:.2f}", {"x": round((low + high) / 2, 3)}
        for label in _VORTICES:
            values = values_of(job, f"bound {label} {name}")
            yield _median("median bound on log10 m", values, job, series=f"{label}, {survey}", unit="dex", **place)
        for series in _BY_MASS:
            values = values_of(job, f"{series} {name}")
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
