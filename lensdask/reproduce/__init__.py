"""Every figure and table of the papers as a named experiment: the paper's numbers, ours, and the picture."""

from lensdask.reproduce.catalogue import EXPERIMENTS, run_experiment
from lensdask.reproduce.experiment import SIZES, Experiment, Job

__all__ = ["EXPERIMENTS", "SIZES", "Experiment", "Job", "run_experiment"]
