"""Table 1, on the simulation as it was published, and what becomes of its networks when lenses are turned."""

from lensdask.compute import Row, row
from lensdask.data import load_card
from lensdask.reproduce.enn.costs import cpu_seconds, fit_seconds
from lensdask.reproduce.enn.measures import bootstrapped, predicted, row_of
from lensdask.reproduce.enn.plans import LABELS
from lensdask.reproduce.enn.published import MODELS, TABLE1
from lensdask.reproduce.enn.study import Lenses, Lesson, Study
from lensdask.reproduce.experiment import Job, Outcome, on_cluster
from lensdask.stronglens.evaluation.metrics import accuracy, macro_auc

__all__ = ["ANGLES", "rotation", "rotation_lessons", "table1", "table1_lessons"]

ANGLES = (0.0, 20.0, 45.0, 90.0)
"""By which lenses are turned, degrees."""

_TURNED = "Model A"
"""The model whose lenses are turned."""


def _lenses(model: str) -> Lenses:
    return Lenses("deeplensesim", MODELS[model], "as-coded")


def _lesson(study: Study, model: str, network: str) -> Lesson:
    """Return the training of a network on a model: its lenses all point one way, and so they do in training."""
    return Lesson(network, _lenses(model), study.plan.table1, turns=False)


def table1_lessons(study: Study) -> list[Lesson]:
    """Return the trainings of table 1."""
    return [_lesson(study, model, network) for model in MODELS for network in study.plan.tables]


def rotation_lessons(study: Study) -> list[Lesson]:
    """Return those of them whose lenses are turned."""
    return [_lesson(study, _TURNED, network) for network in study.plan.tables]


def table1(job: Job) -> Outcome:
    """Return accuracy and area under the curve of all networks on both models."""
    rows: list[Row] = []
    with on_cluster(job) as running:
        study = Study.of(running)
        study.train(table1_lessons(study))
        for model in MODELS:
            fit = fit_seconds(study, _lenses(model))
            for network in study.plan.tables:
                rows += _rows(study, model, network, fit, comparable=job.size == "paper")
    return Outcome(rows, 3 * study.plan.noiseless_tests * len(table1_lessons(study)))


def _rows(study: Study, model: str, network: str, fit: float, *, comparable: bool) -> list[Row]:
    lesson, settings = _lesson(study, model, network), {"replicas": study.plan.replicas, "seed": study.seed}
    found, card = predicted(study, lesson), load_card(study.weights(lesson))
    series, printed = f"{model}: {LABELS[network]}", TABLE1.get((model, network), (None, None))
    rows = []
    for name, statistic, value in (("accuracy", accuracy, printed[0]), ("macro AUC", macro_auc, printed[1])):
        measured = bootstrapped(statistic, [(found.said, found.label)], **settings)
        is_printed = comparable and value is not None
        more = {"series": series, "published": value, "comparable": is_printed, "n": len(found.label)}
        rows.append(row_of(name, measured, **more))
    seconds = float(cpu_seconds(study, lesson, fit)[-1])
    rows.append(row("CPU time of a training", seconds, unit="s", series=series))
    rows.append(row("images of each class for training", card["lenses"]["training"] / 3, series=series))
    return rows


def rotation(job: Job) -> Outcome:
    """Return the accuracy of the networks of table 1 on lenses that are turned, PSF and noise excepted."""
    rows: list[Row] = []
    with on_cluster(job) as running:
        study = Study.of(running)
        study.train(rotation_lessons(study))
        for lesson in rotation_lessons(study):
            rows += _turned_rows(study, lesson)
    return Outcome(rows, 3 * study.plan.noiseless_tests * len(ANGLES) * len(rotation_lessons(study)))


def _turned_rows(study: Study, lesson: Lesson) -> list[Row]:
    """Return the accuracy of a network at each angle, and how much lower it is than at none, of the same lenses."""
    series, settings = LABELS[lesson.network], {"replicas": study.plan.replicas, "seed": study.seed}
    found = {}
    for angle in ANGLES:
        one = predicted(study, lesson, angle=angle)
        found[angle] = bootstrapped(accuracy, [(one.said, one.label)], **settings)
    rows = [row_of("accuracy", one, series=series, x=angle) for angle, one in found.items()]
    return rows + [
        row_of("drop of accuracy", found[0.0] - found[angle], series=series, x=angle) for angle in ANGLES[1:]
    ]
