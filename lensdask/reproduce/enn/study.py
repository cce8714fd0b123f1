"""The study that the experiments on strong lenses share: lenses, networks, predictions, each made once.

A study is a directory. Whatever an experiment asks for is made there unless it is there. Names of weights contain a
hash of all that decides them; what follows from a network lies in a directory of its name.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from lensdask.compute import RunOptions, StoreReference, refer_to
from lensdask.data import configuration_hash
from lensdask.data import open as open_store
from lensdask.reproduce.enn.plans import Plan, Step, plan_of
from lensdask.reproduce.enn.trainings import Training, train_networks
from lensdask.reproduce.experiment import Job
from lensdask.stronglens import CLASSES, classify_run, fit_run, simulate_run
from lensdask.stronglens.nets.loss import Task
from lensdask.stronglens.nets.recipe import Recipe

__all__ = ["Lenses", "Lesson", "Study"]

_SEEDS = 1000
"""Seeds of a study: two for its lenses, and one for each of the networks of a point of the learning curve."""


class Lenses(NamedTuple):
    """Lenses of one kind.

    Parameters
    ----------
    preset, survey, signal
        As for `lensdask.stronglens.simulate`.
    classes
        Those that there are.
    """

    preset: str
    survey: str
    signal: str
    classes: tuple[str, ...] = CLASSES

    @property
    def name(self) -> str:
        """Name of their stores."""
        some = () if self.classes == CLASSES else self.classes
        return "-".join((self.preset, self.survey, self.signal, *some))


class Lesson(NamedTuple):
    """A network to train.

    Parameters
    ----------
    network
        Its name.
    lenses
        What it learns from.
    step
        How many of them, and how long.
    task
        What it is for.
    turns
        Whether images are turned and mirrored in training.
    number
        Of the training, among those of the step.
    """

    network: str
    lenses: Lenses
    step: Step
    task: Task = "classify"
    turns: bool = True
    number: int = 0


@dataclass(frozen=True)
class Study:
    """A study of some size, in a directory."""

    directory: Path
    """Where everything goes."""
    plan: Plan
    """How large it is."""
    seed: int
    """Of everything random."""
    options: RunOptions
    """Cluster and device."""
    made: set[Path] = field(default_factory=set, compare=False)
    """Stores that are known to be whole: looking at them again takes a second for each of many predictions."""

    @classmethod
    def of(cls, job: Job) -> "Study":
        """Return the study that an experiment belongs to."""
        directory = (job.study or job.parts) / f"enn-{job.size}-{job.seed}"
        options = replace(job.options, if_exists="resume", performance_report=None)
        return cls(directory, plan_of(job.size), job.seed, options)

    def count(self, kind: Lenses) -> int:
        """Return how many lenses of each class there are for training and validation."""
        is_main = (kind.preset, kind.signal) == ("physical", "as-coded")
        return self.plan.lenses if is_main else self.plan.fewer_lenses

    def lenses(self, kind: Lenses, *, tests: bool = False, angle: float = 0.0) -> Path:
        """Return a store of lenses.

        Parameters
        ----------
        kind
            Which.
        tests
            Whether they are for tests, and other ones than those for training and validation.
        angle
            By which they are turned, degrees.
        """
        plan = self.plan
        of_tests = plan.noiseless_tests if kind.preset == "deeplensesim" else plan.tests
        turned = f"-{angle:g}" if angle else ""
        path = self.directory / "lenses" / f"{kind.name}-{'tests' if tests else 'training'}{turned}.zarr"
        if path in self.made:
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        simulate_run(
            path,
            images=len(kind.classes) * (of_tests if tests else self.count(kind)),
            preset=kind.preset,
            survey=kind.survey,
            signal=kind.signal,
            classes=kind.classes,
            size=plan.pixels,
            angle=angle,
            seed=_SEEDS * self.seed + tests,
            options=self.options,
        )
        self.made.add(path)
        return path

    def fits(self, kind: Lenses, *, tests: bool = False, angle: float = 0.0) -> Path:
        """Return the store of the smooth lenses that are fitted to lenses.

        Parameters
        ----------
        kind, tests, angle
            As for `lenses`.
        """
        lenses = self.lenses(kind, tests=tests, angle=angle)
        path = self.directory / "fits" / lenses.name
        if path not in self.made:
            path.parent.mkdir(parents=True, exist_ok=True)
            fit_run(lenses, path, options=self.options)
            self.made.add(path)
        return path

    def sees_fits(self, lesson: Lesson) -> bool:
        """Return whether a network sees what smooth lenses leave."""
        return "residual" in self.plan.members[lesson.network].recipe.inputs

    def recipe(self, lesson: Lesson) -> Recipe:
        """Return how a network is trained."""
        base, step = self.plan.members[lesson.network].recipe, lesson.step
        epochs = self.plan.epochs(lesson.network, step, self.count(lesson.lenses), len(lesson.lenses.classes))
        return replace(
            base,
            task=lesson.task,
            per_class=step.per_class,
            turns=base.turns and lesson.turns,
            seed=_SEEDS * self.seed + lesson.number,
            training=replace(base.training, epochs=epochs),
        )

    def weights(self, lesson: Lesson) -> Path:
        """Return the file of a network, whether it is there or not; its name contains all that decides it."""
        decides = {
            "recipe": asdict(self.recipe(lesson)),
            "lenses": [*lesson.lenses, self.count(lesson.lenses), self.seed],
        }
        hashed = configuration_hash(decides)[:12]
        name = f"{lesson.network}-{lesson.lenses.name}-{lesson.step.per_class or 'all'}-{hashed}"
        return self.directory / "networks" / f"{name}.safetensors"

    def train(self, lessons: Iterable[Lesson]) -> None:
        """Train those of the networks that are not there, several at once on a cluster.

        Parameters
        ----------
        lessons
            The networks.
        """
        # Of two that are the same training one is enough.
        missing = list({self.weights(lesson): lesson for lesson in lessons if not self._done(lesson)}.values())
        lenses = {kind: _reference(self.lenses(kind)) for kind in {lesson.lenses for lesson in missing}}
        seen = {lesson.lenses for lesson in missing if self.sees_fits(lesson)}
        fits = {kind: _reference(self.fits(kind)) for kind in seen}
        trainings = [
            Training(
                self.recipe(lesson),
                lenses[lesson.lenses],
                fits[lesson.lenses] if self.sees_fits(lesson) else None,
                str(self.weights(lesson).resolve()),
            )
            for lesson in sorted(missing, key=self.seconds, reverse=True)
        ]
        train_networks(trainings, self.directory / "networks" / "trainings.journal.jsonl", self.options)

    def _done(self, lesson: Lesson) -> bool:
        return self.weights(lesson).with_suffix(".json").exists()

    def seconds(self, lesson: Lesson) -> float:
        """Return the CPU time that a training should take."""
        there = self.count(lesson.lenses), len(lesson.lenses.classes)
        epoch, fits = self.plan.members[lesson.network].seconds(lesson.step.per_class, *there)
        return fits + epoch * self.plan.epochs(lesson.network, lesson.step, *there)

    def predictions(self, lesson: Lesson, kind: Lenses | None = None, angle: float = 0.0) -> Path:
        """Return the store of what a network says of lenses for tests.

        Parameters
        ----------
        lesson
            The network, trained.
        kind
            The lenses; those of the kind that it learned from when none.
        angle
            By which they are turned, degrees.
        """
        weights, chosen = self.weights(lesson), kind or lesson.lenses
        lenses = self.lenses(chosen, tests=True, angle=angle)
        fits = self.fits(chosen, tests=True, angle=angle) if self.sees_fits(lesson) else None
        path = self.directory / "predictions" / weights.stem / lenses.name
        path.parent.mkdir(parents=True, exist_ok=True)
        classify_run(lenses, path, network=weights, fits=fits, options=self.options)
        return path


def _reference(path: Path) -> StoreReference:
    return refer_to(path, open_store(path))
