"""Fields that are no random piece of sky: without any mass, or with a known cluster in the middle.

The cluster is like Coma: a massive halo next to us, so that it fills much of a field of 3.5 degrees. Two filaments lead
to a smaller halo each. Its convergence adds to that of the sky behind it, and so does its shear; the reduced shear is
exact, with all that lies beyond the field on a periodic area twice as wide.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lensdask.arrays import to_numpy
from lensdask.compute import Chunks, Device, NewStore, Table, Task, run
from lensdask.data import SHEAR_MAPS
from lensdask.maps.mock import Survey, galaxy_counts, observe
from lensdask.maps.statistics.metrics import Float64
from lensdask.reproduce.experiment import Job
from lensdask.reproduce.massmaps.fields import Sample, part_options, sample_of
from lensdask.reproduce.massmaps.networks import SURVEYS
from lensdask.sky.cosmology import CHA
from lensdask.sky.lensing import reduced_shear, shear_of_convergence
from lensdask.sky.lognormal import padded_size
from lensdask.sky.nfw import Halo, nfw_convergence
from lensdask.sky.simulate import SkyConfig, simulate_sky
from lensdask.sky.sources import Source, find_source

__all__ = ["Cluster", "cluster_convergence", "cluster_fields", "empty_fields"]


@dataclass(frozen=True)
class Cluster:
    """A halo of Navarro, Frenk & White 1997 with filaments, in the middle of a field."""

    mass: float
    """M200c, Msun."""
    reach: float
    """Distance of the smaller haloes, at which the filaments end, arcmin; they begin at a quarter of it."""
    concentration: float = 4.0
    """Of this mass."""
    redshift: float = 0.0231
    """That of Coma."""
    directions: tuple[float, ...] = (70.0, 200.0)
    """Of the filaments, degrees from x towards y."""
    filament: float = 0.02
    """Convergence on their axes."""
    width: float = 4.0
    """Standard deviation of their Gaussian section, arcmin."""
    group_mass: float = 5e13
    """M200c of the haloes at their ends, Msun."""


def cluster_convergence(cluster: Cluster, source: Source, size: int, area: int, pixel_scale: float) -> Float64:
    """Return the convergence of a cluster on a periodic area, of mean 0.

    Parameters
    ----------
    cluster
        What to draw.
    source
        Redshifts of the lensed galaxies.
    size, area
        Pixels on a side of the field, in the middle of which the cluster is, and of the area, whose lower left part the
        field is.
    pixel_scale
        Arcmin.
    """
    offset = (np.arange(area) - (size - 1) / 2 + area / 2) % area - area / 2
    x, y = np.meshgrid(offset * pixel_scale, offset * pixel_scale)
    kappa = _halo(cluster.mass, x, y, cluster, source, pixel_scale)
    for turn in np.deg2rad(cluster.directions):
        along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
        ends = _rise((along - cluster.reach / 4) / cluster.width) * _rise((cluster.reach - along) / cluster.width)
        kappa = kappa + cluster.filament * ends * np.exp(-0.5 * (across / cluster.width) ** 2)
        kappa += _halo(cluster.group_mass, along - cluster.reach, across, cluster, source, pixel_scale)
    return np.asarray(kappa - kappa.mean(), dtype=np.float64)


def _halo(mass: float, x: Float64, y: Float64, cluster: Cluster, source: Source, pixel_scale: float) -> Float64:
    halo = Halo(mass, cluster.concentration, cluster.redshift, "200c")
    # The convergence at the centre is infinite; half a pixel from it stands for that of the pixel.
    theta = np.maximum(np.hypot(x, y), pixel_scale / 2)
    return nfw_convergence(theta, halo, source, truncated=True, cosmology=CHA)


def _rise(x: Float64) -> Float64:
    """Return a step from 0 to 1, smooth over 1."""
    return np.asarray(0.5 * (1 + np.tanh(x)))


@dataclass(frozen=True)
class PlantMasses(Task):
    """Simulates fields without mass, or with a cluster before the sky."""

    sky: SkyConfig
    """Size and pixels of the fields; and the sky, where there is a cluster."""
    survey: Survey
    """Galaxies and their noise."""
    cluster: Cluster | None
    """What is in the middle of each field."""
    seed: int
    """Of sky and galaxies."""

    def __call__(self, start: int, stop: int, device: Device) -> tuple[Table, None]:
        """Return the maps of some fields."""
        ids, sky, seed = np.arange(start, stop, dtype=np.int64), self.sky, self.seed
        if self.cluster is None:
            kappa = g1 = g2 = np.zeros((len(ids), sky.size, sky.size))
        else:
            kappa, g1, g2 = _with_cluster(ids, sky, self.cluster, seed, device)
        maps = observe(ids, g1, g2, self.survey, sky.pixel_scale, seed)
        counts = [galaxy_counts(int(i), kappa.shape[1:], self.survey, sky.pixel_scale, seed) for i in ids]
        columns = {**maps._asdict(), "kappa": kappa, "count": np.stack(counts)}
        table = {name: np.asarray(values, dtype=np.float32) for name, values in columns.items()}
        return table | {"mask": maps.mask.astype(np.int8)}, None


def _with_cluster(
    ids: npt.NDArray[np.int64], settings: SkyConfig, cluster: Cluster, seed: int, device: str
) -> tuple[Float64, Float64, Float64]:
    sky = simulate_sky(ids, settings, seed, device)
    kappa, *g = (to_numpy(part).astype(np.float64) for part in (sky.kappa, sky.g1, sky.g2))
    area = padded_size(settings.size, settings.padding)
    added = cluster_convergence(cluster, find_source(settings.source), settings.size, area, settings.pixel_scale)
    field = slice(0, settings.size)
    # Shear, unlike reduced shear, adds.
    shear = [one * (1 - kappa) + part[field, field] for one, part in zip(g, shear_of_convergence(added), strict=True)]
    kappa = kappa + added[field, field]
    return kappa, *reduced_shear(kappa, *shear)


def empty_fields(job: Job, fields: int, sky: SkyConfig) -> Sample:
    """Return fields without mass, simulated unless they are among the parts: what a method makes of noise alone.

    Parameters
    ----------
    job, fields
        Experiment, and how many.
    sky
        Size and pixels of the fields, and the sky that the Wiener filter is told to expect.
    """
    return _planted(job, fields, sky, None)


def cluster_fields(job: Job, fields: int, sky: SkyConfig, cluster: Cluster) -> Sample:
    """Return fields with a cluster in the middle of each, before another sky each time."""
    return _planted(job, fields, sky, cluster)


def _planted(job: Job, fields: int, sky: SkyConfig, cluster: Cluster | None) -> Sample:
    path, survey = job.parts / "fields.zarr", SURVEYS[job.size]
    attributes = {
        "pixel_scale": sky.pixel_scale,
        "density": survey.density,
        "sigma_e": survey.sigma_e,
        "source": sky.source,
        "resolution": sky.resolution,
        "seed": job.seed,
    }
    sizes = {"field": fields, "y": sky.size, "x": sky.size}
    store = NewStore(path, SHEAR_MAPS, sizes, {"field": range(fields)}, attributes, optional=("kappa",))
    task, chunks = PlantMasses(sky, survey, cluster, job.seed), Chunks(fields, SHEAR_MAPS.chunk, "fields")
    return sample_of(job, path, run(task, chunks, store, part_options(job), label="simulate"))
