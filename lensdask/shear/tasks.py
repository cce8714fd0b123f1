"""What the runs of the shear pillar compute, chunk by chunk."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array
from lensdask.compute import Device, StoreReference, Sums, Table, Task
from lensdask.shear.calibration.selection import Selection
from lensdask.shear.calibration.shape_sums import shape_sums
from lensdask.shear.imaging import imaging_of_observation, imaging_of_stamps
from lensdask.shear.shapes.estimator import Estimator
from lensdask.shear.shapes.measurement import as_table, measure_parts, measure_stamps
from lensdask.shear.simulation.simulated import Simulation, observed_stamps

__all__ = ["CompareEstimators", "MeasureBias", "MeasureStamps", "SimulateStamps"]


@dataclass(frozen=True)
class SimulateStamps(Simulation, Task):
    """Simulates stamps."""

    def __call__(self, start: int, stop: int, device: Device) -> tuple[Table, None]:  # noqa: ARG002  stamps are stored
        """Return stamps under the four shears."""
        rows, ids = self.galaxies(start, stop)
        return {"image": observed_stamps(rows, ids, self.observation, self.seed)}, None


@dataclass(frozen=True)
class MeasureStamps(Task):
    """Measures a store of stamps."""

    stamps: StoreReference
    """The store."""
    estimator: Estimator
    """What measures the ellipticity."""
    seed: int
    """Seed of the renoise."""

    def __call__(self, start: int, stop: int, device: Device) -> tuple[Table, None]:
        """Return the shapes of some galaxies."""
        stamps = self.stamps.load(slice(start, stop))
        images, ids = stamps["image"].values, stamps["galaxy"].values
        imaging = imaging_of_stamps(stamps)
        columns = measure_stamps(images, ids, imaging, self.estimator, seed=self.seed, device=device)
        return dict(as_table(columns)), None


@dataclass(frozen=True)
class MeasureBias(Simulation, Task):
    """Simulates galaxies, measures them and sums up: nothing but shapes leaves a worker."""

    estimator: Estimator
    """What measures the ellipticity."""
    selection: Selection | None
    """Cut on what is measured, in the sums."""
    galaxies_per_block: int
    """Galaxies whose sums are kept together, the unit of the bootstrap."""

    def __call__(self, start: int, stop: int, device: Device) -> tuple[Table, Sums]:
        """Return the shapes of some galaxies and their sums."""
        (columns,) = _simulated_shapes(self, start, stop, device, [self.estimator])
        return dict(as_table(columns)), {"shapes": shape_sums(columns, self.galaxies_per_block, self.selection)}


@dataclass(frozen=True)
class CompareEstimators(Simulation, Task):
    """Simulates galaxies once, measures them with all estimators, and sums up under all cuts."""

    estimators: tuple[Estimator, ...]
    """What measures the ellipticity."""
    selections: tuple[Selection | None, ...]
    """Cuts on what is measured."""
    galaxies_per_block: int
    """Galaxies whose sums are kept together, the unit of the bootstrap."""

    def __call__(self, start: int, stop: int, device: Device) -> tuple[None, Sums]:
        """Return sums, shape (block, estimator, selection, 4, statistic)."""
        sums = [
            np.stack([shape_sums(columns, self.galaxies_per_block, cut) for cut in self.selections], axis=1)
            for columns in _simulated_shapes(self, start, stop, device, self.estimators)
        ]
        return None, {"shapes": np.stack(sums, axis=1)}


def _simulated_shapes(
    simulation: Simulation, start: int, stop: int, device: Device, estimators: Sequence[Estimator]
) -> list[npt.NDArray[np.float64]]:
    """Simulate some galaxies once; return what each estimator measures, shape (galaxy, 4, column)."""
    (rows, ids), observation, seed = simulation.galaxies(start, stop), simulation.observation, simulation.seed

    def draw(part: slice) -> Array:
        return observed_stamps(rows[part], ids[part], observation, seed, device)

    imaging = imaging_of_observation(observation, ids, seed)
    return measure_parts(draw, ids, imaging, list(estimators), seed=seed, device=device)
