"""Simulated skies: cosmology, the power of the convergence, lognormal fields, haloes, and exact lensing."""

from typing import TYPE_CHECKING

from lensdask.lazy import lazy_names

if TYPE_CHECKING:
    from lensdask.sky.cosmology import CHA, MASSIVENUS, Cosmology, angular_diameter_distance, critical_density
    from lensdask.sky.lensing import convergence_of_shear, reduced_shear, shear_of_convergence
    from lensdask.sky.lognormal import lognormal_maps
    from lensdask.sky.nfw import Halo, nfw_convergence, nfw_shear
    from lensdask.sky.power import ConvergencePower, compute_convergence_power, convergence_power
    from lensdask.sky.readers import read_convergence_map
    from lensdask.sky.simulate import Haloes, Sky, SkyConfig, halo_slots, simulate_sky
    from lensdask.sky.sources import SOURCES, Source, find_source, source_plane
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "CHA",
    "MASSIVENUS",
    "SOURCES",
    "ConvergencePower",
    "Cosmology",
    "Halo",
    "Haloes",
    "Sky",
    "SkyConfig",
    "Source",
    "angular_diameter_distance",
    "compute_convergence_power",
    "convergence_of_shear",
    "convergence_power",
    "critical_density",
    "find_source",
    "halo_slots",
    "lognormal_maps",
    "nfw_convergence",
    "nfw_shear",
    "read_convergence_map",
    "reduced_shear",
    "shear_of_convergence",
    "simulate_sky",
    "source_plane",
]
