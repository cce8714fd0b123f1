"""How large a study of networks of strong lenses is, by its size."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from lensdask.stronglens.nets.architectures import Config
from lensdask.stronglens.nets.cyclic import CyclicConfig
from lensdask.stronglens.nets.lens_net import LENS_NET_LARGE
from lensdask.stronglens.nets.recipe import Recipe, read_recipe
from lensdask.stronglens.nets.resnet import ResNetConfig

__all__ = ["LABELS", "PLAIN", "Member", "Plan", "Step", "plan_of"]

LABELS: Mapping[str, str] = MappingProxyType(
    {
        "resnet50": "ResNet50",
        "c8": "C8 steerable CNN",
        "harmonic": "Harmonic Network",
        "et": "Equivariant Transformer",
        "lens-net": "lens-net",
        "resnet50-residual": "ResNet50 with residual",
        "lens-net-image": "lens-net without residual",
    }
)
"""The networks, in the order of tables. The last two swap inputs: one with symmetry sees as much as one without."""

PLAIN = "resnet50"
"""The one of the paper without symmetry."""

_SWAPPED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"resnet50-residual": ("resnet50", "lens-net"), "lens-net-image": ("lens-net", "resnet50")}
)
"""Networks that are those of one recipe with the inputs of another."""

_VALIDATION = 0.1
"""Share of the lenses of a store for validation."""


class Step(NamedTuple):
    """Trainings of networks on as many images, for the same CPU time or as many epochs.

    Parameters
    ----------
    per_class
        Images of each class for training; 0 for all that are not for validation.
    seconds
        CPU time of a training, from which its epochs follow.
    epochs
        Epochs of a training, where they are not to follow.
    seeds
        Trainings of each network, with other images, weights and orders.
    """

    per_class: int
    seconds: float = 0.0
    epochs: int = 0
    seeds: int = 1


class Member(NamedTuple):
    """A network of the study.

    Parameters
    ----------
    recipe
        How it is trained, but for task, images and epochs.
    train_ms, check_ms
        CPU time of an image in training, and in validation.
    fit_ms
        CPU time of the smooth lens that is fitted to an image, for a network that sees what it leaves.
    """

    recipe: Recipe
    train_ms: float
    check_ms: float
    fit_ms: float = 0.0

    def seconds(self, per_class: int, lenses: float, classes: int = 3) -> tuple[float, float]:
        """Return the CPU time of an epoch, and that of the fits before the first one.

        Parameters
        ----------
        per_class
            As for `Step`.
        lenses
            Of each class in the store, for training and validation.
        classes
            How many there are.
        """
        checked = lenses * self.recipe.validation
        images = per_class or lenses - checked
        epoch, fits = images * self.train_ms + checked * self.check_ms, (images + checked) * self.fit_ms
        return classes * epoch / 1e3, classes * fits / 1e3


@dataclass(frozen=True)
class Plan:
    """Numbers of lenses and trainings."""

    members: Mapping[str, Member]
    """By name, in the order of `LABELS`."""
    tables: tuple[str, ...]
    """Those of them that stand in the tables of the paper."""
    pixels: int
    """Of an image, on a side."""
    lenses: int
    """Of each class, for training and validation."""
    fewer_lenses: int
    """The same of the published simulation, and with subhaloes of CDM."""
    tests: int
    """Of each class, for tests with noise."""
    noiseless_tests: int
    """The same without noise."""
    replicas: int
    """Resamplings of the test lenses."""
    bounds: int
    """Lenses whose Cramér-Rao bound is taken."""
    curve: tuple[Step, ...]
    """Points of the learning curve at equal compute."""
    alike: tuple[Step, ...]
    """At equal epochs."""
    table1: Step
    """Trainings of table 1."""
    table2: Step
    """Trainings of table 2."""
    cdm: Step
    """The training on physical subhaloes."""

    def epochs(self, name: str, step: Step, lenses: int, classes: int = 3) -> int:
        """Return how often a network sees its training images in a step, at least once.

        Parameters
        ----------
        name
            The network.
        step
            Images of each class, and the time.
        lenses, classes
            As for `Member.seconds`.
        """
        epoch, fits = self.members[name].seconds(step.per_class, lenses, classes)
        return step.epochs or max(1, round((step.seconds - fits) / epoch))


_TINY: Mapping[str, Config] = MappingProxyType(
    {
        "resnet50": ResNetConfig(width=2, blocks=(1, 1)),
        "c8": CyclicConfig(fields=(1, 1), kernels=(3, 3), pooled=(0,), hidden=4),
    }
)
"""Networks of a few channels; the lens-net is that of its recipe."""


def _tiny() -> Plan:
    base = read_recipe("lens-tiny")
    recipes = {name: replace(base, network=network) for name, network in _TINY.items()}
    recipes["lens-net"] = replace(base, inputs=("image", "residual"))
    members = {name: Member(recipe, 1.0, 1.0) for name, recipe in _with_swapped(recipes).items()}
    step = Step(4, epochs=2)
    return Plan(
        members,
        tables=tuple(recipes),
        pixels=16,
        lenses=16,
        fewer_lenses=16,
        tests=40,
        noiseless_tests=12,
        replicas=20,
        bounds=40,
        curve=(step._replace(seeds=2),),
        alike=(step,),
        table1=step,
        table2=step,
        cdm=step,
    )


_Costs = Mapping[str, tuple[float, float]]

_FIT_MS = 15.0
"""CPU ms of a fit to an image of 64 x 64 pixels: one thread."""

_PUBLISHED = tuple(name for name in LABELS if name not in _SWAPPED)

_SMALL_MS: _Costs = MappingProxyType(
    {"resnet50": (4.3, 1.5), "c8": (10.5, 3.9), "harmonic": (6.4, 2.2), "et": (3.4, 1.2), "lens-net": (7.5, 2.5)}
)
"""CPU ms of an image of 64 x 64 pixels in training and in validation: one thread, batches of 64, all cores at work."""


def _small() -> Plan:
    recipes = {name: read_recipe(f"lens-{name.removeprefix('lens-')}") for name in _PUBLISHED}
    members = _members(recipes, _SMALL_MS)
    lenses, curve = 3100, (Step(300, 45.0, seeds=3), Step(900, 110.0, seeds=3), Step(2700, 240.0))
    plan = Plan(
        members,
        tables=tuple(recipes),
        pixels=64,
        lenses=lenses,
        fewer_lenses=1100,
        tests=2000,
        noiseless_tests=1000,
        replicas=400,
        bounds=300,
        curve=curve,
        alike=(),
        table1=Step(900, 120.0),
        table2=Step(2700, 80.0),
        cdm=Step(900, 120.0),
    )
    # As many epochs for all as the slowest has at equal compute.
    fewest = [min(plan.epochs(name, step, lenses) for name in members) for step in curve[:2]]
    return replace(plan, alike=tuple(Step(step.per_class, epochs=n) for step, n in zip(curve[:2], fewest, strict=True)))


_PAPER_MS: _Costs = MappingProxyType(
    {
        "resnet50": (56.0, 19.0),
        "c8": (168.0, 56.0),
        "harmonic": (29.0, 10.0),
        "et": (20.0, 7.0),
        "lens-net": (60.0, 20.0),
    }
)
"""About the same of the large networks: no measurement, and a GPU has other ratios; they decide epochs alone."""

_PAPER_EPOCHS: Mapping[int, int] = MappingProxyType({300: 100, 900: 60, 2700: 30, 0: 10})
"""Epochs of ResNet50 by images of each class; the paper has 10 with all of them."""


def _paper() -> Plan:
    recipes = {name: read_recipe(f"lens-{name}-paper") for name in _PUBLISHED if name != "lens-net"}
    recipes["lens-net"] = replace(recipes[PLAIN], network=LENS_NET_LARGE, inputs=read_recipe("lens-net").inputs)
    members, lenses, once = _members(recipes, _PAPER_MS), 30_000, Step(0, epochs=10)
    epoch = {count: members[PLAIN].seconds(count, lenses)[0] for count in _PAPER_EPOCHS}
    return Plan(
        members,
        tables=tuple(recipes),
        pixels=64,
        lenses=lenses,
        fewer_lenses=lenses,
        tests=5000,
        noiseless_tests=5000,
        replicas=400,
        bounds=3000,
        curve=tuple(Step(count, epochs * epoch[count], seeds=3) for count, epochs in _PAPER_EPOCHS.items()),
        alike=tuple(Step(count, epochs=epochs) for count, epochs in _PAPER_EPOCHS.items()),
        table1=once,
        table2=once,
        cdm=once,
    )


def _with_swapped(recipes: dict[str, Recipe]) -> dict[str, Recipe]:
    """Return recipes and those of the networks that swap inputs, in the order of tables."""
    swapped = {name: replace(recipes[one], inputs=recipes[other].inputs) for name, (one, other) in _SWAPPED.items()}
    return {name: (recipes | swapped)[name] for name in LABELS if name in recipes | swapped}


def _members(recipes: dict[str, Recipe], ms: _Costs) -> dict[str, Member]:
    members = {}
    for name, recipe in _with_swapped(recipes).items():
        fit_ms = _FIT_MS if "residual" in recipe.inputs else 0.0
        # A second map costs the first convolution alone.
        costs = ms[_SWAPPED.get(name, (name,))[0]]
        members[name] = Member(replace(recipe, validation=_VALIDATION), *costs, fit_ms)
    return members


@cache
def plan_of(size: str) -> Plan:
    """Return the plan of a size: "tiny", "small" or "paper"."""
    return {"tiny": _tiny, "small": _small, "paper": _paper}[size]()
