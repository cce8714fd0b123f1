"""Simulated images of strong lenses: lazily in memory, or as a resumable run into a store.

Lens i is of the class i modulo the number of classes, so that any range of ids has all of them alike. All else is drawn
by the id: a lens is the same to the bit whatever chunk or worker it is made in, and however many there are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lensdask.arrays import held_on, to_numpy
from lensdask.compute import Chunks, Device, NewStore, RunOptions, RunResult, Table, Task, run
from lensdask.data import LENSES, common_attributes
from lensdask.errors import InputError, check_number, check_seed
from lensdask.stronglens.simulation.checks import check_lenses
from lensdask.stronglens.simulation.drawing import PARAMETERS, Drawn, draw_class
from lensdask.stronglens.simulation.imaging import lensed_images, noisy
from lensdask.stronglens.simulation.presets import (
    CLASSES,
    Preset,
    Signal,
    Survey,
    find_preset,
    find_signal,
    find_survey,
)

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["SimulateLenses", "simulate", "simulate_run"]

_BATCH = {"cpu": 16, "cuda": 256}
"""Lenses that are made at once, a multiple of the numbers in a vector: on a CPU their arrays stay in its cache."""

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SimulateLenses(Task):
    """Makes images of lenses."""

    preset: Preset
    """Lenses and sources."""
    signal: Signal
    """Substructure."""
    survey: Survey
    """Pixels, PSF, noise."""
    classes: tuple[str, ...]
    """Lenses take turns in them."""
    size: int
    """Pixels on a side."""
    noise: bool
    """Whether there is any."""
    angle: float
    """By which all lenses are turned counter-clockwise, degrees; PSF and noise are not."""
    seed: int
    """Of all random numbers."""

    def __post_init__(self) -> None:
        """Refuse what cannot be simulated."""
        if not self.classes or len(set(self.classes)) < len(self.classes) or set(self.classes) - set(CLASSES):
            raise InputError(f"classes: {','.join(self.classes)}; expected some of {','.join(CLASSES)}, each once")
        check_number("size", self.size, least=2, most=4096, whole=True)
        if self.size % 2:
            raise InputError(f"size: {self.size}; expected an even number of pixels")
        check_number("angle", self.angle, meaning="degrees")
        check_seed(self.seed)
        check_lenses(self.preset, self.signal, self.survey, self.size)

    def __call__(self, start: int, stop: int, device: Device) -> tuple[Table, None]:
        """Return images and parameters of some lenses."""
        ids = np.arange(start, stop, dtype=np.int64)
        images, table = self._empty_images(ids), self._empty_table(ids)
        for at, filled, drawn in self.drawn(ids, _BATCH[device]):
            images[at] = self._seen(drawn, filled, device)[: len(at)]
            _keep(drawn, table, at)
        return {"image": images, "label": self.labels(ids), **table}, None

    def labels(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int8]:
        """Return the classes of some lenses."""
        numbers = np.array([CLASSES.index(name) for name in self.classes], dtype=np.int8)
        return numbers[ids % len(numbers)]

    def drawn(self, ids: npt.NDArray[np.int64], batch: int) -> Iterator[tuple[npt.NDArray[np.intp], Ids, Drawn]]:
        """Yield for one batch of one class after another the positions of its lenses; ids; the lenses.

        Ids and lenses are always as many: the last one is repeated. Numbers that stand beside whole vectors of a
        processor, or in matrices of another size, are rounded otherwise: so none ever do.
        """
        labels = self.labels(ids)
        settings = self.preset, self.signal, self.survey, self.angle, self.seed
        for name in self.classes:
            at = np.nonzero(labels == CLASSES.index(name))[0]
            for start in range(0, len(at), batch):
                filled = ids[at[np.minimum(np.arange(start, start + batch), len(at) - 1)]]
                yield at[start : start + batch], filled, draw_class(filled, name, *settings)

    def table(self, ids: Ids) -> Table:
        """Return labels and parameters of some lenses."""
        table = self._empty_table(ids)
        for at, _, drawn in self.drawn(ids, _BATCH["cpu"]):
            _keep(drawn, table, at)
        return {"label": self.labels(ids), **table}

    def images(self, ids: Ids, device: Device) -> npt.NDArray[np.float32]:
        """Return images of some lenses, shape (lens, y, x).

        Parameters
        ----------
        ids
            Their ids.
        device
            "cpu" or "cuda".
        """
        images = self._empty_images(ids)
        for at, filled, drawn in self.drawn(ids, _BATCH[device]):
            images[at] = self._seen(drawn, filled, device)[: len(at)]
        return images

    def _empty_images(self, ids: Ids) -> npt.NDArray[np.float32]:
        return np.empty((len(ids), self.size, self.size), np.float32)

    def _empty_table(self, ids: Ids) -> Table:
        return {name: np.empty(len(ids), np.float32) for name in PARAMETERS}

    def _seen(self, drawn: Drawn, ids: Ids, device: Device) -> npt.NDArray[np.float32]:
        made = lensed_images(drawn.lenses, self.survey, self.size, held_on(np.zeros(1, np.float32), device))
        return to_numpy(noisy(made, self.survey, ids, self.seed) if self.noise else self.preset.noiseless_scale * made)

    def attributes(self, signal: str) -> dict[str, Any]:
        """Return the attributes of the images, beside the common ones.

        Parameters
        ----------
        signal
            Name of the substructure.
        """
        return {
            "pixel_scale": self.survey.pixel_scale,
            "preset": self.preset.name,
            "survey": self.survey.name,
            "signal": signal,
            "noise": "survey" if self.noise else "none",
            "angle": self.angle,
            "seed": self.seed,
        }


def _keep(drawn: Drawn, table: Table, at: npt.NDArray[np.intp]) -> None:
    """Put parameters of lenses where they belong in a table."""
    for name, values in drawn.parameters().items():
        table[name][at] = values[: len(at)]


def _task(
    preset: str | Preset,
    survey: str | Survey,
    signal: str | Path | Signal | None,
    classes: Sequence[str],
    size: int,
    noise: bool | None,
    angle: float,
    seed: int,
) -> tuple[SimulateLenses, str]:
    """Return the task, and the name of its substructure."""
    lenses = find_preset(preset)
    wanted = lenses.signal if signal is None else signal
    with_noise = lenses.noise if noise is None else noise
    found = find_signal(wanted), find_survey(survey)
    task = SimulateLenses(lenses, *found, tuple(classes), size, with_noise, float(angle), seed)
    return task, "numbers of the user" if isinstance(wanted, Signal) else Path(wanted).name


def simulate(
    *,
    images: int,
    preset: str | Preset = "physical",
    survey: str | Survey = "euclid",
    signal: str | Path | Signal | None = None,
    classes: Sequence[str] = CLASSES,
    size: int = 64,
    noise: bool | None = None,
    angle: float = 0.0,
    seed: int = 0,
) -> "xr.Dataset":
    """Return simulated images of strong lenses, made when they are computed; `lensdask.write` stores them.

    Parameters
    ----------
    images
        Number of lenses, all classes together; they take turns.
    preset
        Lenses and sources: "physical"; "deeplensesim", what the published images of DeepLenseSim are; or a `Preset`.
    survey
        Pixels, PSF and noise: "euclid", "hst", or a `Survey`.
    signal
        Substructure: "cdm", "as-coded" (that of DeepLenseSim), a TOML file with fields of `Signal`, or a `Signal`;
        that of the preset when none.
    classes
        Some of "none", "cdm", "vortex".
    size
        Pixels on a side, even.
    noise
        Whether there is noise; as the preset has it when none.
    angle
        By which all lenses are turned counter-clockwise, degrees; PSF and noise are not.
    seed
        Of all random numbers. A lens depends on its id and the settings, not on how many there are.

    Returns
    -------
    Dataset
        Of the schema ``lenses``.

    Raises
    ------
    InputError
        A name is unknown, or a number makes no sense.
    """
    import dask.array as da
    import xarray as xr

    task, name = _task(preset, survey, signal, classes, size, noise, angle, seed)
    ids = np.arange(_checked(images), dtype=np.int64)
    cut = da.from_array(ids, chunks=LENSES.chunk)
    made = cut.map_blocks(_images, task, new_axis=(1, 2), chunks=(cut.chunks[0], size, size), **_like(np.float32, 3))
    table = cut.map_blocks(_parameters, task, new_axis=1, chunks=(cut.chunks[0], len(PARAMETERS)), **_like("f4", 2))
    values = {"image": (("lens", "y", "x"), made), "label": ("lens", task.labels(ids))}
    values |= {parameter: ("lens", table[:, k]) for k, parameter in enumerate(PARAMETERS)}
    attributes = common_attributes(LENSES, task.settings()) | task.attributes(name)
    return LENSES.described(xr.Dataset(values, {"lens": ids}, attributes))


def _like(dtype: Any, dimensions: int) -> dict[str, Any]:
    return {"dtype": dtype, "meta": np.empty((0,) * dimensions, dtype)}


def _images(ids: npt.NDArray[np.int64], task: SimulateLenses) -> npt.NDArray[np.float32]:
    return task.images(ids, "cpu")


def _parameters(ids: npt.NDArray[np.int64], task: SimulateLenses) -> npt.NDArray[np.float32]:
    table = task.table(ids)
    return np.stack([table[name] for name in PARAMETERS], axis=1)


def _checked(images: int) -> int:
    check_number("images", images, least=1, whole=True, meaning="of all classes together")
    return images


def simulate_run(
    path: Path,
    *,
    images: int,
    preset: str | Preset = "physical",
    survey: str | Survey = "euclid",
    signal: str | Path | Signal | None = None,
    classes: Sequence[str] = CLASSES,
    size: int = 64,
    noise: bool | None = None,
    angle: float = 0.0,
    seed: int = 0,
    chunk: int = LENSES.chunk,
    options: RunOptions | None = None,
) -> RunResult:
    """Simulate a store of images of strong lenses.

    Parameters
    ----------
    path
        Store to write, schema ``lenses``.
    images, preset, survey, signal, classes, size, noise, angle, seed
        As for `simulate`.
    chunk
        Lenses per task and per chunk of the store.
    options
        Cluster, device, resumption.

    Raises
    ------
    InputError
        The output exists, a name is unknown, or a number makes no sense.
    """
    task, name = _task(preset, survey, signal, classes, size, noise, angle, seed)
    sizes = {"lens": _checked(images), "y": size, "x": size}
    coords = {"lens": range(images)}
    optional = tuple(one for one in PARAMETERS if not LENSES.variables[one].required)
    store = NewStore(path, LENSES, sizes, coords, task.attributes(name), optional=optional)
    return run(task, Chunks(images, chunk, "lenses"), store, options, label=f"simulate {task.preset.name} lenses")
