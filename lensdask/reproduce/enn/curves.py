"""The learning curve: how good networks are by the number of images that they learn from."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from lensdask.compute import Row, row
from lensdask.data import load_card
from lensdask.reproduce.enn.costs import cpu_seconds, error_of, fit_seconds
from lensdask.reproduce.enn.measures import Bootstrapped, bootstrapped, predicted, row_of
from lensdask.reproduce.enn.plans import LABELS, PLAIN, Step
from lensdask.reproduce.enn.study import Lenses, Lesson, Study
from lensdask.reproduce.experiment import Job, Outcome, on_cluster
from lensdask.stronglens.evaluation.metrics import (
    accuracy,
    calibration_error,
    expected_calibration_error,
    macro_auc,
    mean_nll,
)

__all__ = ["CDM", "PHYSICAL", "curve_lessons", "learning_curve", "lessons_of"]

Float64 = npt.NDArray[np.float64]

PHYSICAL = Lenses("physical", "euclid", "as-coded")
"""Lenses as Euclid sees them, with the substructure of the published simulation."""

CDM = Lenses("physical", "euclid", "cdm")
"""The same with subhaloes of cold dark matter."""

BEST = "lens-net"
"""The network that is trained on physical subhaloes."""

STATISTICS: Mapping[str, Callable[..., float]] = MappingProxyType(
    {"accuracy": accuracy, "macro AUC": macro_auc, "NLL": mean_nll, "calibration error": calibration_error}
)
"""What is measured of probabilities."""

SAME_INPUTS = (("lens-net", "resnet50-residual"), ("lens-net-image", "resnet50"))
"""Networks with and without symmetry that see the same."""

COMPUTE, EPOCHS = "equal compute", "equal epochs"


def lessons_of(study: Study, steps: Sequence[Step]) -> list[Lesson]:
    """Return the trainings of all networks.

    Parameters
    ----------
    study
        Where they are.
    steps
        Points of the learning curve.
    """
    return [
        Lesson(network, PHYSICAL, step, number=number)
        for step in steps
        for network in study.plan.members
        for number in range(step.seeds)
    ]


def _cdm(study: Study) -> Lesson:
    return Lesson(BEST, CDM, study.plan.cdm)


def curve_lessons(study: Study) -> list[Lesson]:
    """Return all trainings of the learning curve."""
    return [*lessons_of(study, study.plan.curve), *lessons_of(study, study.plan.alike), _cdm(study)]


def learning_curve(job: Job) -> Outcome:
    """Return accuracy, areas, likelihood and calibration by images of each class, at equal compute and equal epochs."""
    with on_cluster(job) as running:
        study = Study.of(running)
        study.train(curve_lessons(study))
        fit = fit_seconds(study, PHYSICAL)
        rows = [row("CPU time of the fit of a smooth lens", fit, unit="s")]
        for steps, how in ((study.plan.curve, COMPUTE), (study.plan.alike, EPOCHS)):
            for step in steps:
                rows += _step_rows(study, step, how, fit)
        rows += _cdm_rows(study)
    return Outcome(rows, 3 * study.plan.tests * len(curve_lessons(study)))


def _step_rows(study: Study, step: Step, how: str, fit: float) -> list[Row]:
    """Return what the networks of a step reach, and by how much the best one with symmetry beats that without."""
    found, checked, rows = {}, {}, []
    for network in study.plan.members:
        lessons = [one for one in lessons_of(study, [step]) if one.network == network]
        trainings = [(one.said, one.label) for one in (predicted(study, lesson) for lesson in lessons)]
        cards = [load_card(study.weights(lesson)) for lesson in lessons]
        found[network] = _statistics(study, trainings)
        checked[network] = np.mean([card["validation"]["accuracy"] for card in cards])
        place = {"series": f"{LABELS[network]}, {how}", "x": step.per_class or study.plan.lenses}
        counts = {"n": len(trainings[0][0]), "trainings": len(lessons)}
        rows += [row_of(name, one, **place, **counts) for name, one in found[network].items()]
        rows += _other_rows(study, trainings, place)
        rows += _cost_rows(study, lessons, fit, place)
    # Chosen on lenses for validation, so that the test lenses are not what makes it the best.
    best = max((name for name in found if not name.startswith(PLAIN)), key=lambda name: checked[name])
    for first, second, series in (
        (best, PLAIN, f"best equivariant - {LABELS[PLAIN]}"),
        *((one, other, f"{LABELS[one]} - {LABELS[other]}") for one, other in SAME_INPUTS),
    ):
        place = {"series": f"{series}, {how}", "x": step.per_class or study.plan.lenses, "trainings": step.seeds}
        rows += [row_of(name, one - found[second][name], network=first, **place) for name, one in found[first].items()]
    return rows


def _statistics(study: Study, trainings: Sequence[tuple[Any, Any]]) -> dict[str, Bootstrapped]:
    settings = {"replicas": study.plan.replicas, "seed": study.seed}
    return {name: bootstrapped(statistic, trainings, **settings) for name, statistic in STATISTICS.items()}


def _other_rows(study: Study, trainings: Sequence[tuple[Any, Any]], place: dict[str, Any]) -> list[Row]:
    """Return what chance makes of the calibration error, and the scatter between trainings."""
    expected = [expected_calibration_error(probability, seed=study.seed) for probability, _ in trainings]
    rows = [row("calibration error of perfect calibration", float(np.mean(expected)), **place)]
    if len(trainings) > 1:
        shares = [accuracy(*one) for one in trainings]
        rows.append(row("scatter of accuracy between trainings", float(np.std(shares, ddof=1)), **place))
    return rows


def _cost_rows(study: Study, lessons: Sequence[Lesson], fit: float, place: dict[str, Any]) -> list[Row]:
    """Return what the trainings cost."""
    cards = [load_card(study.weights(lesson)) for lesson in lessons]
    seconds = [float(cpu_seconds(study, lesson, fit)[-1]) for lesson in lessons]
    return [
        row("CPU time of a training", float(np.mean(seconds)), error_of(seconds), unit="s", **place),
        row("epochs of a training", cards[0]["epochs_done"], **place),
        row("trainable parameters", cards[0]["parameters"], **place),
    ]


def _cdm_rows(study: Study) -> list[Row]:
    """Return what one network makes of physical subhaloes: the three classes, and CDM against no substructure."""
    lesson = _cdm(study)
    found, series = predicted(study, lesson), f"{LABELS[BEST]}, subhaloes of CDM"
    rows = [
        row_of(name, one, series=series, n=len(found.label))
        for name, one in _statistics(study, [(found.said, found.label)]).items()
    ]
    for pair, name in (((0, 1), "AUC of CDM against none"), ((0, 2), "AUC of a vortex against none")):
        inside = np.isin(found.label, pair)
        two = found.said[inside][:, pair]
        settings = {"replicas": study.plan.replicas, "seed": study.seed}
        label = (found.label[inside] == pair[1]).astype(np.int64)
        auc = bootstrapped(macro_auc, [(two / two.sum(1, keepdims=True), label)], **settings)
        rows.append(row_of(name, auc, series=series, n=int(inside.sum())))
    return rows
