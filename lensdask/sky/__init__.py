"""Simulated skies: cosmology, power, lognormal fields, haloes, exact lensing, N-body boxes, and tomographic maps."""

from typing import TYPE_CHECKING

from lensdask.lazy import lazy_names

if TYPE_CHECKING:
    from lensdask.sky.cosmology import CHA, MASSIVENUS, Cosmology, angular_diameter_distance, critical_density
    from lensdask.sky.lensing import convergence_of_shear, reduced_shear, shear_of_convergence
    from lensdask.sky.lognormal import lognormal_maps
    from lensdask.sky.nbody.box import NbodyBox
    from lensdask.sky.nbody.lightcone import nbody_tiles
    from lensdask.sky.nbody.steps import simulate_box
    from lensdask.sky.nfw import Halo, nfw_convergence, nfw_shear
    from lensdask.sky.power import ConvergencePower, compute_convergence_power, convergence_power
    from lensdask.sky.readers import read_convergence_map
    from lensdask.sky.simulate import Haloes, Sky, SkyConfig, halo_slots, simulate_sky
    from lensdask.sky.sources import SOURCES, Source, find_source, source_plane
    from lensdask.sky.tomography.cosmologies import (
        calibration_cosmologies,
        choose_cosmologies,
        grid_cosmologies,
        hull_distance,
        in_hull,
        tomography_cosmology,
    )
    from lensdask.sky.tomography.kernels import field_kernels
    from lensdask.sky.tomography.matter import MatterPower, matter_power
    from lensdask.sky.tomography.redshifts import STAGE3_BINS, RedshiftBins, read_redshift_bins, redshift_bins
    from lensdask.sky.tomography.shells import limber_spectra, shell_spectra
    from lensdask.sky.tomography.tiles import TileGrid, pixel_window, tomographic_tiles
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "CHA",
    "MASSIVENUS",
    "SOURCES",
    "STAGE3_BINS",
    "ConvergencePower",
    "Cosmology",
    "Halo",
    "Haloes",
    "MatterPower",
    "NbodyBox",
    "RedshiftBins",
    "Sky",
    "SkyConfig",
    "Source",
    "TileGrid",
    "angular_diameter_distance",
    "calibration_cosmologies",
    "choose_cosmologies",
    "compute_convergence_power",
    "convergence_of_shear",
    "convergence_power",
    "critical_density",
    "field_kernels",
    "find_source",
    "grid_cosmologies",
    "halo_slots",
    "hull_distance",
    "in_hull",
    "limber_spectra",
    "lognormal_maps",
    "matter_power",
    "nbody_tiles",
    "nfw_convergence",
    "nfw_shear",
    "pixel_window",
    "read_convergence_map",
    "read_redshift_bins",
    "redshift_bins",
    "reduced_shear",
    "shear_of_convergence",
    "shell_spectra",
    "simulate_box",
    "simulate_sky",
    "source_plane",
    "tomographic_tiles",
    "tomography_cosmology",
]
