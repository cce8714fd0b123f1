"""Weak-lensing shear: D4CNN and FPFS shapes with analytic response (Lin, Li et al. 2026)."""

from lensdask.shear.calibration import Bias, Calibration, bias, calibrate
from lensdask.shear.catalogue import mock_galaxies, read_catalogue
from lensdask.shear.measurement import Instrument, find_estimator, measure, measure_stamps
from lensdask.shear.results import BiasRun
from lensdask.shear.runs import RunOptions, measure_run, run_bias, simulate_run
from lensdask.shear.simulate import Observation, draw_psf, draw_stamps
from lensdask.shear.stamps import make_stamps

__all__ = [
    "Bias",
    "BiasRun",
    "Calibration",
    "Instrument",
    "Observation",
    "RunOptions",
    "bias",
    "calibrate",
    "draw_psf",
    "draw_stamps",
    "find_estimator",
    "make_stamps",
    "measure",
    "measure_run",
    "measure_stamps",
    "mock_galaxies",
    "read_catalogue",
    "run_bias",
    "simulate_run",
]
