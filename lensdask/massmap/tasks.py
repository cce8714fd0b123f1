"""What the runs of the mass-map pillar compute, chunk by chunk."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lensdask.arrays import index_like, to_numpy
from lensdask.compute import Device, StoreReference, Table, Task
from lensdask.data import check_unchanged, file_sha256
from lensdask.errors import check_seed
from lensdask.maps.fields import ShearMaps, shear_maps
from lensdask.maps.mock import Survey, galaxy_counts, observe
from lensdask.massmap.method import Method
from lensdask.massmap.products import Products, reconstruct_maps
from lensdask.massmap.reconstruction import observed_settings
from lensdask.sky.simulate import Sky, SkyConfig, check_sky, simulate_sky

__all__ = ["HALO_COLUMNS", "ReconstructFields", "SimulateFields"]

HALO_COLUMNS = ("halo_mass", "halo_redshift", "halo_x", "halo_y")
"""What is known of simulated haloes."""


@dataclass(frozen=True)
class SimulateFields(Task):
    """Simulates fields and what galaxies show of them."""

    sky: SkyConfig
    """Which sky."""
    survey: Survey
    """Galaxies, their noise, and what is masked."""
    footprint_hash: str | None
    """Checksum of the footprint, if there is one."""
    seed: int
    """Of sky, galaxies and masks."""

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_sky(self.sky)

    def settings(self) -> dict[str, Any]:
        """Return all that decides the result: the footprint by its checksum."""
        noise = asdict(self.survey) | {"footprint": None, "footprint_hash": self.footprint_hash}
        return {"sky": asdict(self.sky), "noise": noise, "seed": self.seed}

    def __call__(self, start: int, stop: int, device: Device) -> tuple[Table, None]:
        """Return the maps of some fields."""
        ids = np.arange(start, stop, dtype=np.int64)
        self._check_footprint()
        sky, scale = simulate_sky(ids, self.sky, self.seed, device), self.sky.pixel_scale
        maps = observe(index_like(ids, sky.g1), sky.g1, sky.g2, self.survey, scale, self.seed)
        shape = (self.sky.size, self.sky.size)
        counts = [galaxy_counts(int(i), shape, self.survey, scale, self.seed) for i in ids]
        columns = {**maps._asdict(), "kappa": sky.kappa, "count": np.stack(counts)}
        table = {name: to_numpy(array).astype(np.float32) for name, array in columns.items()}
        return table | {"mask": to_numpy(maps.mask).astype(np.int8)} | _halo_columns(sky), None

    def _check_footprint(self) -> None:
        path = self.survey.footprint
        if path is not None:
            check_unchanged(path, file_sha256(path), str(self.footprint_hash), "footprint")


def _halo_columns(sky: Sky) -> Table:
    return {} if sky.haloes is None else dict(zip(HALO_COLUMNS, sky.haloes, strict=True))


@dataclass(frozen=True)
class ReconstructFields(Task):
    """Makes mass maps of a store of shear maps."""

    maps: StoreReference
    """The store."""
    method: Method
    """What makes the convergence."""
    products: Products
    """What is made beside it."""
    seed: int
    """Of the random turns from which noise is taken."""

    def __post_init__(self) -> None:
        check_seed(self.seed)

    def __call__(self, start: int, stop: int, device: Device) -> tuple[Table, None]:
        """Return the maps of some fields."""
        maps = self.maps.load(slice(start, stop), ShearMaps._fields)
        made = reconstruct_maps(
            shear_maps(maps),
            self.method,
            products=self.products,
            ids=maps["field"].values,
            seed=self.seed,
            device=device,
            **observed_settings(maps),
        )
        return {"mask": maps["mask"].values, **made}, None
