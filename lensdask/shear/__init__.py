"""Weak-lensing shear: D4CNN and FPFS shapes with analytic response (Lin, Li et al. 2026)."""

from typing import TYPE_CHECKING

from lensdask.lazy import lazy_names

if TYPE_CHECKING:
    from lensdask.compute import RunOptions
    from lensdask.shear.calibration.bins import bias_in_bins
    from lensdask.shear.calibration.estimate import Bias, Calibration, bias, calibrate, calibrations
    from lensdask.shear.calibration.others import calibrated_table
    from lensdask.shear.calibration.selection import Selection, magnitude_cut
    from lensdask.shear.calibration.weights import FluxWeights, optimal_weights
    from lensdask.shear.coadds.catalogue import to_catalogue
    from lensdask.shear.coadds.coadd import Coadd, cutouts, read_coadd
    from lensdask.shear.coadds.detection import detect
    from lensdask.shear.comparison import Comparison, compare
    from lensdask.shear.imaging import Imaging
    from lensdask.shear.networks.recipe import read_recipe
    from lensdask.shear.networks.training import train
    from lensdask.shear.nulls.correlations import shear_correlation, treecorr_catalogue
    from lensdask.shear.nulls.samples import mean_shear, psf_leakage, shear_in_bins, star_response
    from lensdask.shear.results import BiasRun
    from lensdask.shear.runs import measure_run, run_bias, simulate_run
    from lensdask.shear.shapes.estimator import estimators, find_estimator
    from lensdask.shear.shapes.measurement import measure, measure_stamps
    from lensdask.shear.simulation.catsim import mock_galaxies, read_catsim
    from lensdask.shear.simulation.observation import Observation, draw_psf, draw_stamps
    from lensdask.shear.stamps import make_stamps
else:
    __getattr__, __dir__ = lazy_names(__name__, {"Instrument": "Imaging", "read_catalogue": "read_catsim"})

__all__ = [
    "Bias",
    "BiasRun",
    "Calibration",
    "Coadd",
    "Comparison",
    "FluxWeights",
    "Imaging",
    "Observation",
    "RunOptions",
    "Selection",
    "bias",
    "bias_in_bins",
    "calibrate",
    "calibrated_table",
    "calibrations",
    "compare",
    "cutouts",
    "detect",
    "draw_psf",
    "draw_stamps",
    "estimators",
    "find_estimator",
    "magnitude_cut",
    "make_stamps",
    "mean_shear",
    "measure",
    "measure_run",
    "measure_stamps",
    "mock_galaxies",
    "optimal_weights",
    "psf_leakage",
    "read_catsim",
    "read_coadd",
    "read_recipe",
    "run_bias",
    "shear_correlation",
    "shear_in_bins",
    "simulate_run",
    "star_response",
    "to_catalogue",
    "train",
    "treecorr_catalogue",
]
