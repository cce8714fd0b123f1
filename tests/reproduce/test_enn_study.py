"""The study of networks of strong lenses: equal compute, nothing trained twice, and the numbers of its tables."""

from dataclasses import replace

import numpy as np
import pytest

from lensdask.compute import RunOptions
from lensdask.data import load_card
from lensdask.reproduce import Job, run_experiment
from lensdask.reproduce.enn import trainings
from lensdask.reproduce.enn.convergence import first_reached
from lensdask.reproduce.enn.curves import curve_lessons, lessons_of
from lensdask.reproduce.enn.masses import scatter_over_slope, table2_lessons
from lensdask.reproduce.enn.measures import bootstrapped, predicted
from lensdask.reproduce.enn.plans import LABELS
from lensdask.reproduce.enn.published import TABLE1, TABLE2
from lensdask.reproduce.enn.study import Study
from lensdask.reproduce.enn.tables import rotation_lessons, table1_lessons
from lensdask.stronglens.evaluation.metrics import accuracy

QUIET = RunOptions(show_progress=False, device="cpu", if_exists="resume")

PRINTED_1 = """
96.86 0.99740 98.67 0.99926
99.02 0.99967 99.28 0.99972
90.95 0.98516 90.24 0.98904
92.413 0.99321 97.42 0.99770
"""
PRINTED_2 = """
0.01309 1.31E-02 0.01030 0.01685 2.87E-04 0.01306
0.02504 6.30E-04 0.02096 0.00453 2.07E-05 0.00357
0.02181 7.88E-04 0.02181 0.01068 1.16E-04 0.00818
0.00691 4.78E-05 0.00690 0.00410 1.69E-05 0.00407
"""
"""Both tables, a line for each network in the order of ours: Model A, Model B."""


@pytest.mark.parametrize(
    ("table", "printed", "scale"), [(TABLE1, PRINTED_1, (0.01, 1.0)), (TABLE2, PRINTED_2, (1.0, 1.0, 1.0))]
)
def test_published_numbers_are_copied_right(table, printed, scale):
    lines = [np.array(line.split(), float) for line in printed.strip().splitlines()]
    assert len(table) == 2 * len(lines)
    for network, line in zip(("resnet50", "c8", "harmonic", "et"), lines, strict=True):
        for model, numbers in zip(("Model A", "Model B"), np.split(line, 2), strict=True):
            np.testing.assert_allclose(table[model, network], numbers * scale, rtol=1e-12)


@pytest.mark.parametrize("size", ["small", "paper"])
def test_networks_of_a_step_take_the_same_time(tmp_path, size):
    study = Study.of(Job(tmp_path, size))
    for step in study.plan.curve:
        for name, member in study.plan.members.items():
            epoch, fits = member.seconds(step.per_class, study.plan.lenses)
            assert (fits > 0) == (name in ("lens-net", "resnet50-residual"))
            assert abs(fits + epoch * study.plan.epochs(name, step, study.plan.lenses) - step.seconds) <= epoch / 2
    for step in study.plan.alike:
        assert {study.plan.epochs(name, step, study.plan.lenses) for name in LABELS} == {step.epochs}


def test_networks_of_a_step_see_the_same_images(tmp_path):
    study = Study.of(Job(tmp_path, "small"))
    for step in study.plan.curve:
        recipes = [study.recipe(lesson) for lesson in lessons_of(study, [step])]
        assert len({(r.per_class, r.validation, r.turns) for r in recipes}) == 1
        assert sorted({r.seed for r in recipes}) == list(range(step.seeds))


@pytest.mark.parametrize("size", ["tiny", "small", "paper"])
def test_every_network_has_a_file_of_its_own(tmp_path, size):
    study = Study.of(Job(tmp_path, size))
    lessons = [*curve_lessons(study), *table1_lessons(study), *table2_lessons(study)]
    files = {study.weights(lesson): study.recipe(lesson) for lesson in lessons}
    assert len({path.stem for path in files}) == len(files)
    other = replace(study, seed=1)
    assert not set(files) & {other.directory / "networks" / other.weights(lesson).name for lesson in lessons}


def test_small_study_fits_into_its_time(tmp_path):
    study = Study.of(Job(tmp_path, "small"))
    lessons = {*curve_lessons(study), *table1_lessons(study), *table2_lessons(study)}
    # A hundred minutes on two cores, less a sixth for simulations, predictions and bounds.
    assert sum(study.seconds(lesson) for lesson in lessons) < 10_000


def test_a_study_is_shared(results, monkeypatch):
    result, directory = results("enn.convergence")
    results("enn.learning_curve")
    monkeypatch.setattr(trainings, "train", None)
    again = directory.parent / "again-enn"
    found = run_experiment("enn.convergence", again, size="tiny", study=directory.parent / "study", options=QUIET)
    # The fit of a smooth lens is timed anew.
    timeless = [
        [row | {"cpu_s": 0} for row in each["rows"] if not row["quantity"].startswith("CPU")]
        for each in (found, result)
    ]
    assert timeless[0] == timeless[1]


def test_interrupted_trainings_are_resumed(tmp_path, monkeypatch):
    study = Study.of(Job(tmp_path, "tiny", 0, QUIET))
    lessons, calls, train = lessons_of(study, study.plan.alike)[:3], [], trainings.train

    def interrupted(path, *args, **settings):
        calls.append(path)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train(path, *args, **settings)

    monkeypatch.setattr(trainings, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        study.train(lessons)
    study.train(lessons)
    # The second of three was begun twice.
    assert [calls.count(str(study.weights(lesson))) for lesson in lessons] == [1, 2, 1]
    assert all(load_card(study.weights(lesson))["epochs_done"] == 2 for lesson in lessons)


def test_networks_that_turn_exactly_say_the_same_at_90_degrees(results):
    _, directory = results("enn.rotation")
    study = Study.of(Job(directory, "tiny", 0, QUIET, directory.parent / "study"))
    moved = {}
    for lesson in rotation_lessons(study):
        before, after = (predicted(study, lesson, angle=angle).said for angle in (0.0, 90.0))
        assert before.std(0).max() > 0
        moved[lesson.network] = abs(after - before).max() / before.std(0).max()
    # Probabilities are kept in single precision.
    assert moved["c8"] < 0.05 < 0.5 < moved["resnet50"]


def test_bootstrap_of_a_mean():
    rng = np.random.default_rng(1)
    values = rng.normal(3.0, 2.0, 400)
    found = bootstrapped(lambda each: float(each.mean()), [(values,)], replicas=400, seed=0)
    assert found.value == values.mean()
    # The error of a standard deviation of 400 numbers is 1 / √800.
    assert found.error == pytest.approx(values.std() / 20, rel=0.12)
    low, high = found.interval
    assert high - low == pytest.approx(4 * found.error, rel=0.15)


def test_differences_are_of_the_same_lenses():
    rng = np.random.default_rng(2)
    probability, label = rng.dirichlet(np.ones(3), (2, 500)), rng.integers(3, size=500)
    better = probability.copy()
    better[:, np.arange(50), label[:50]] = 1.0
    first, second = (
        bootstrapped(accuracy, [(one, label) for one in each], replicas=200, seed=3) for each in (better, probability)
    )
    gain = first - second
    assert gain.value == first.value - second.value > 0
    # They differ in a tenth of the lenses: what both have in common drops out.
    assert 0 < gain.error < 0.7 * first.error


def test_trainings_are_resampled_too():
    label = np.zeros(50, int)
    right, wrong = np.tile([1.0, 0.0], (50, 1)), np.tile([0.0, 1.0], (50, 1))
    found = bootstrapped(accuracy, [(right, label), (wrong, label)], replicas=400, seed=4)
    assert found.value == 0.5
    assert found.error == pytest.approx(0.5**0.5 / 2, rel=0.1)


def test_scatter_over_slope_undoes_the_pull_to_the_prior():
    rng = np.random.default_rng(5)
    true = rng.uniform(-24, -23.5, 20_000)
    pulled = -23 + 0.3 * (true + 23 + rng.normal(0, 0.4, len(true)))
    assert scatter_over_slope(pulled, true) == pytest.approx(0.4, rel=0.05)


def test_first_epoch_near_the_final_score():
    score = [0.4, 0.8, 0.91, 0.85, 0.99, 1.0]
    assert [first_reached(score, share) for share in (0.1, 0.9, 0.99, 1.0)] == [1, 3, 5, 6]
