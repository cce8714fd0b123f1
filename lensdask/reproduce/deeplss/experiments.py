"""The experiments of DeepLSS: Kacprzak & Fluri 2022."""

from collections.abc import Sequence
from pathlib import Path

from lensdask.plots.lss_experiments import plot_parameters, plot_redshifts, plot_stochasticity, plot_tiles
from lensdask.reproduce.deeplss import skies
from lensdask.reproduce.experiment import Experiment, Job

__all__ = ["DEEPLSS"]


def _none(_job: Job) -> Sequence[Path]:
    return ()


DEEPLSS = (
    Experiment(
        "deeplss.table1",
        "priors and fiducial values of the parameters, and the cosmologies that are simulated",
        "Table I",
        "Omega_m and sigma8 are held inside of the hull of 57 simulated cosmologies as well",
        skies.parameters,
        plot_parameters,
        networks=_none,
        note="The fiducial Omega_m and sigma8 are those of the released configuration, 0.2915 and 0.7835; Table I has "
        "0.29 and 0.71. The 57 cosmologies of the paper are not public: ours are others, in the same range.",
    ),
    Experiment(
        "deeplss.figure1",
        "maps of convergence and matter density of one tile in four bins",
        "Figure 1",
        "smoothing of 4 Mpc/h for convergence and 8 Mpc/h for matter leaves structures in all bins",
        skies.tiles,
        plot_tiles,
        networks=_none,
        note="Our skies are shifted lognormal shells, without haloes and filaments, where the paper has N-body "
        "simulations. Noise-free, at the fiducial cosmology, smoothed by the printed standard deviations; beyond its "
        "borders a tile counts as zero.",
    ),
    Experiment(
        "deeplss.figure7",
        "redshift distributions of the four bins",
        "Figure 7",
        "mean redshifts of 0.31, 0.48, 0.75 and 0.94",
        skies.redshifts,
        plot_redshifts,
        networks=_none,
        note="Ours are sums of Gaussians fitted to bins like those of the paper.",
    ),
    Experiment(
        "deeplss.figure8",
        "correlation of galaxies with matter for random phases of the size of equation 12",
        "Figure 8",
        "the correlation is about r_g",
        skies.stochasticity,
        plot_stochasticity,
        networks=_none,
        note="In closed form it is sin(pi a) / (pi a) with a = (1 - r_g)^(2/3), up to 12 % from r_g; the amplitude "
        'named "exact" makes it r_g.',
    ),
)
"""All that is reproduced of the paper."""
