"""The experiments of DeepLSS: Kacprzak & Fluri 2022."""

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from pathlib import Path

from lensdask.plots.lss_experiments import plot_parameters, plot_redshifts, plot_stochasticity, plot_tiles
from lensdask.plots.lss_study import (
    plot_contours,
    plot_convergence,
    plot_gains,
    plot_likelihoods,
    plot_novelty,
    plot_sensitivities,
)
from lensdask.reproduce.deeplss import skies
from lensdask.reproduce.deeplss.checks import PROBES, alternative, convergence, likelihoods
from lensdask.reproduce.deeplss.contours import CONTOURS, SUMMARIES, contours
from lensdask.reproduce.deeplss.gains import gains
from lensdask.reproduce.deeplss.novelties import novelties
from lensdask.reproduce.deeplss.published import ALTERNATIVES, COLUMNS
from lensdask.reproduce.deeplss.sensitivities import sensitivities
from lensdask.reproduce.deeplss.study import Analysis, Study
from lensdask.reproduce.experiment import Experiment, Job

__all__ = ["DEEPLSS"]


def _none(_job: Job) -> Sequence[Path]:
    return ()


def _compressors(*names: Iterable[str]) -> Callable[[Job], Sequence[Path]]:
    """Return the function that names the compressors of analyses: all of some probes and scales, and summaries."""

    def files(job: Job) -> Sequence[Path]:
        study = Study.of(job)
        return [study.weights(Analysis(*name)) for name in names]

    return files


def _of_figure(figure: str) -> Callable[[Job], Sequence[Path]]:
    return _compressors(*((probe, scales, one) for (probe, scales, _), one in product(CONTOURS[figure], SUMMARIES)))


def _of_convergence(job: Job) -> Sequence[Path]:
    study, main = Study.of(job), Analysis("combined", "large", "signed")
    others = [study.weights(main, alternative(study, base)) for base in ALTERNATIVES]
    return [study.weights(Analysis("combined", "large", "network")), study.weights(main), *others]


_STUDY = (
    "Size small has lognormal skies, mosaics of 100 square degrees, 65,536 of them for a training, and the hybrid "
    "network of maps and spectra; no plain CNN ran. The published numbers are of N-body skies, 900 square degrees, "
    "28 million mosaics and a CNN, and not comparable. The time is without what the study held "
    "already. Large scales have multipoles up to 1500, small "
    "ones up to 2304 at a clustering smoothing of 4 Mpc/h; both are smoothed as section II.B prints. "
)

_BASELINES = (
    "The code released with the paper takes |X Y*| of each wave as cross spectrum, which has no sign and no phase; we "
    "assume that the published run used it, and report every gain against both kinds, modulus and signed, Re(X Y*). "
)


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
    Experiment(
        "deeplss.table2",
        "gains in the precision of all parameters over power spectra of both kinds",
        "Table II",
        "a CNN measures A_IA 8 times better than spectra do from both probes, and the figure of merit grows 15 times",
        gains,
        plot_gains,
        networks=_compressors(*((*column, summary) for column, summary in product(COLUMNS, SUMMARIES))),
        note=_STUDY + _BASELINES + "Medians over mocks at the fiducial parameters of the ratio of the widths of their "
        "posteriors, the same mocks for all; errors by the bootstrap.",
    ),
    Experiment(
        "deeplss.figure2",
        "posterior of all parameters from both probes",
        "Figure 2",
        "the network of maps breaks degeneracies that spectra leave",
        contours("figure2"),
        plot_contours,
        networks=_of_figure("figure2"),
        note=_STUDY + _BASELINES,
    ),
    Experiment(
        "deeplss.figure3",
        "posteriors from lensing alone and from clustering alone",
        "Figure 3",
        "networks of maps are the better with each probe alone",
        contours("figure3"),
        plot_contours,
        networks=_of_figure("figure3"),
        note=_STUDY + _BASELINES,
    ),
    Experiment(
        "deeplss.figure4",
        "S8 and intrinsic alignment from both probes and from lensing alone",
        "Figure 4",
        "with both probes the network of maps decorrelates S8 and A_IA almost perfectly",
        contours("figure4"),
        plot_contours,
        networks=_of_figure("figure4"),
        note=_STUDY + _BASELINES,
    ),
    Experiment(
        "deeplss.figure5",
        "linear and non-linear galaxy bias from both probes",
        "Figure 5",
        "the network of maps tells b_g and b_g2 apart",
        contours("figure5"),
        plot_contours,
        networks=_of_figure("figure5"),
        note=_STUDY + _BASELINES,
    ),
    Experiment(
        "deeplss.figure6",
        "where the network of maps looks for intrinsic alignment and for S8",
        "Figure 6",
        "the sensitivity of A_IA to the convergence is the largest where galaxies are overdense",
        sensitivities,
        plot_sensitivities,
        networks=_compressors(("combined", "large", "network")),
        note=_STUDY + "The figure has sigma8 where ours has S8, the parameter of the networks. Maps are smoothed by a "
        "pixel, all are scaled to one standard deviation. A rank correlation is the mean over tiles.",
    ),
    Experiment(
        "deeplss.figure9",
        "accuracy of six likelihoods, a larger mixture for one of them, and the coverage of mocks",
        "Figure 9 and appendix C",
        "means of the likelihood are right to 0.3, scatters to 0.2, and a larger network changes nothing",
        likelihoods,
        plot_likelihoods,
        networks=_compressors(
            *((probe, "large", summary) for probe, summary in product(PROBES, ("network", "signed"))),
            ("combined", "large", "modulus"),
        ),
        note=_STUDY
        + "Our groups are neighbours in one parameter, of 100 samples each, whose Δμ scatters by 0.1 and Δσ "
        "by 0.07 by chance alone. Mocks are drawn from the prior, at cosmologies that neither the compressor nor the "
        "likelihood has seen.",
    ),
    Experiment(
        "deeplss.figure10",
        "losses of the networks along the training, and on mosaics for tests",
        "Figure 10",
        "larger networks of spectra are no better than the main one, and the network of maps is",
        convergence,
        plot_convergence,
        networks=_of_convergence,
        note=_STUDY + "Networks of spectra see the same mosaics, four times; the hybrid goes on from the one of signed "
        "spectra, with a quarter of the mosaics once more. The alternatives are those of appendix D "
        "with logarithms and correlations of spectra for their inputs, as ours has. Test mosaics are of cosmologies "
        "and simulations that no network has seen. Other networks of spectra gain as much over the main one as the "
        "hybrid does: at this size its gain says nothing of information beyond spectra.",
    ),
    Experiment(
        "deeplss.novelty",
        "whether mocks that are unlike the simulations are noticed",
        "no figure of the paper",
        "to be learned: the paper does not test it",
        novelties,
        plot_novelty,
        networks=_none,
        note="Distance of the power of all maps, in four bands of multipole, to the tenth nearest of the simulations "
        "for the likelihood, among such distances of simulations set aside. Mocks of 100 square degrees at size small. "
        "N-body skies are of 128 cubed particles: their power is not that of the lognormal skies on all scales.",
    ),
)
"""All that is reproduced of the paper."""
