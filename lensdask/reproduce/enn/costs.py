"""What trainings cost: CPU time by epoch, with the fits of smooth lenses for a network that sees what they leave."""

import time
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lensdask.compute import torch_settings
from lensdask.data import load_card
from lensdask.data import open as open_store
from lensdask.reproduce.enn.study import Lenses, Lesson, Study
from lensdask.stronglens.fitting.fit import fit_smooth
from lensdask.stronglens.fitting.run import survey_of

__all__ = ["cpu_seconds", "error_of", "fit_seconds"]

Float64 = npt.NDArray[np.float64]

_FITTED = 64
"""Lenses whose fits are timed."""


@torch_settings()
def fit_seconds(study: Study, kind: Lenses) -> float:
    """Return the CPU time of a fit to one of the lenses of a kind, measured here."""
    with open_store(study.lenses(kind)) as lenses:
        images, survey = lenses["image"][:_FITTED].to_numpy(), survey_of(lenses)
    # The lenses that fits begin at are drawn once.
    fit_smooth(images[:1], survey)
    began = time.process_time()
    fit_smooth(images, survey)
    return (time.process_time() - began) / len(images)


def cpu_seconds(study: Study, lesson: Lesson, fit: float) -> Float64:
    """Return the CPU time of a training up to the end of each epoch, the fits to its images included.

    Parameters
    ----------
    study, lesson
        The training.
    fit
        CPU time of a fit.
    """
    card = load_card(study.weights(lesson))
    fits = fit * sum(card["lenses"].values()) if study.sees_fits(lesson) else 0.0
    return fits + np.cumsum(card["loss"]["cpu_s"])


def error_of(values: Sequence[float]) -> float | None:
    """Return the error of a mean, None for a single value."""
    return float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else None
