"""How fast networks learn: epochs and CPU time until they come near their final accuracy."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lensdask.compute import Row, row
from lensdask.data import load_card
from lensdask.reproduce.enn.costs import cpu_seconds, error_of, fit_seconds
from lensdask.reproduce.enn.curves import PHYSICAL, lessons_of
from lensdask.reproduce.enn.plans import LABELS
from lensdask.reproduce.enn.study import Lesson, Study
from lensdask.reproduce.experiment import Job, Outcome, on_cluster

__all__ = ["convergence", "convergence_lessons", "first_reached"]

SHARES = (0.9, 0.99)
"""Of the final accuracy, that are waited for."""


def convergence_lessons(study: Study) -> list[Lesson]:
    """Return the trainings of the learning curve at equal compute."""
    return lessons_of(study, study.plan.curve)


def convergence(job: Job) -> Outcome:
    """Return epochs and CPU time until networks come near their final accuracy on the validation lenses."""
    rows: list[Row] = []
    with on_cluster(job) as running:
        study = Study.of(running)
        study.train(convergence_lessons(study))
        fit = fit_seconds(study, PHYSICAL)
        for step in study.plan.curve:
            for network in study.plan.members:
                rows += _rows(study, [one for one in lessons_of(study, [step]) if one.network == network], fit)
    return Outcome(rows, len(convergence_lessons(study)))


def _rows(study: Study, lessons: Sequence[Lesson], fit: float) -> list[Row]:
    """Return the rows of a network and a number of images: means over the trainings, and the curve of the first."""
    label, images = LABELS[lessons[0].network], lessons[0].step.per_class or study.plan.lenses
    scores = [load_card(study.weights(lesson))["loss"]["score"] for lesson in lessons]
    seconds = [cpu_seconds(study, lesson, fit) for lesson in lessons]
    final = [score[-1] for score in scores]
    place: dict[str, Any] = {"series": label, "x": images}
    rows = [row("final validation accuracy", float(np.mean(final)), error_of(final), trainings=len(final), **place)]
    for share in SHARES:
        epochs = [first_reached(score, share) for score in scores]
        until = [float(each[epoch - 1]) for each, epoch in zip(seconds, epochs, strict=True)]
        what = f"to {share:.0%} of the final accuracy"
        rows.append(row(f"epochs {what}", float(np.mean(epochs)), error_of(epochs), **place))
        rows.append(row(f"CPU time {what}", float(np.mean(until)), error_of(until), unit="s", **place))
    return rows + [
        row("validation accuracy", accuracy, series=f"{label}, {images} a class", x=epoch, cpu_s=float(until))
        for epoch, (accuracy, until) in enumerate(zip(scores[0], seconds[0], strict=True), 1)
    ]


def first_reached(score: Sequence[float], share: float) -> int:
    """Return the first epoch, counted from 1, whose score is some share of the last one's.

    Parameters
    ----------
    score
        After each epoch.
    share
        Of the last score.
    """
    return int(np.argmax(np.asarray(score) >= share * score[-1])) + 1
