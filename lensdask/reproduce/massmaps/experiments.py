"""The experiments of the mass maps: Cha et al. 2025, and MIU²Net (Han, Zhao, Chen et al. 2026)."""

from lensdask.plots.massmap_experiments import (
    plot_azimuth,
    plot_correlations,
    plot_densities,
    plot_found,
    plot_heights,
    plot_images,
    plot_masses,
    plot_pair_frames,
    plot_power_ratios,
    plot_relation,
)
from lensdask.reproduce.cha import maps as cha_maps
from lensdask.reproduce.cha.clusters import cluster_masses, completeness
from lensdask.reproduce.cha.coma import azimuthal_excess, mass_and_filaments
from lensdask.reproduce.experiment import Experiment
from lensdask.reproduce.massmaps.networks import METHODS, weights_of
from lensdask.reproduce.miu2net import maps as miu2net_maps

__all__ = ["CHA", "MIU2NET"]

_SKIES = (
    "Our skies are lognormal, without filaments and true clusters, where the paper has ray-traced simulations. Below "
    "size paper, fields are 1.75 degrees before galaxies at redshift 1, and the networks are small ones."
)
_HALOES = (
    "Our skies are haloes in a lognormal field, on which no network was trained, where the paper has ray-traced "
    "simulations. Below size paper, fields are 1.75 degrees before galaxies at redshift 1, and the networks are small "
    "ones."
)
_SMOOTHED = (
    "A map by Kaiser and Squires has no more power than its smoothing leaves, so that KS93 is low here as it must be; "
    "the paper finds it too high. KS93 1.6' has the smoothing of the least error, not that of the paper."
)
_COMA = (
    "The paper has the real Coma cluster; ours has a known mass and known filaments, in every field before another "
    "sky. Below size paper, the networks were trained on fields of half this side."
)

_NETWORKS = weights_of(*METHODS)

CHA = (
    Experiment(
        "cha.figure2",
        "mass maps of one field by each method, and the loss of each",
        "Figure 2",
        "the network restores compact peaks and large scales alike, with a loss of 200 to 210",
        cha_maps.reconstructions,
        plot_images,
        networks=_NETWORKS,
        note=f"{_SKIES} The loss is summed over 512² pixels in the paper, and over those of the field here.",
    ),
    Experiment(
        "cha.figure3",
        "reconstructed against true convergence, pixel by pixel",
        "Figure 3",
        "a slope of 0.70 by total least squares, 0.47 for its predecessor, and a loose relation for KS93",
        cha_maps.slopes,
        plot_relation,
        networks=_NETWORKS,
        note=f"{_SKIES} {_SMOOTHED} A slope below 1 is no flaw: that of the map with the least error is below 1.",
    ),
    Experiment(
        "cha.figure4",
        "distribution of the convergence in the maps of each method",
        "Figure 4",
        "that of the network is close to the truth, that of KS93 is wider",
        cha_maps.distributions,
        plot_densities,
        networks=_NETWORKS,
        note=f"{_SKIES} {_SMOOTHED}",
    ),
    Experiment(
        "cha.figure5",
        "correlation function of the convergence in the maps of each method",
        "Figure 5",
        "that of the network is the true one on scales above 2 pixels",
        cha_maps.correlations,
        plot_correlations,
        networks=_NETWORKS,
        note=f"{_SKIES} A map with the least error has less power than the truth on all scales on which noise counts.",
    ),
    Experiment(
        "cha.figure6",
        "projected mass of the clusters found, within 1 Mpc",
        "Figure 6",
        "nearly one to one with the truth",
        cluster_masses,
        plot_masses,
        networks=_NETWORKS,
        note=f"{_HALOES} The highest maxima of the maps count, as many as there are clusters.",
    ),
    Experiment(
        "cha.figure7",
        "share of the clusters found against their projected mass",
        "Figure 7",
        "75 % at 1e14 Msun and 90 % at 3e14, against 35 % at 1e14 for KS93",
        completeness,
        plot_found,
        networks=_NETWORKS,
        note=f"{_HALOES} The highest maxima of the maps count, as many as there are clusters; the paper does not say "
        "which ones do. By chance: what the maxima of another field would find.",
    ),
    Experiment(
        "cha.figure8",
        "maps of fields without mass",
        "Figure 8",
        "convergences between -0.04 and 0.06, with the mode at -0.01: hardly a bias",
        cha_maps.null_test,
        plot_densities,
        networks=_NETWORKS,
        note="The caption of the figure has -0.02 to 0.04. How far the extremes reach grows with the number of fields. "
        "Below size paper, fields are 1.75 degrees, and the networks are small ones, trained for galaxies at redshift "
        "1, before which there is less mass to expect than before the paper's at 2.5.",
    ),
    Experiment(
        "cha.figure9",
        "mass maps of fields with masks",
        "Figure 9",
        "the maps hold up inside the mask",
        cha_maps.masked_maps,
        plot_images,
        networks=_NETWORKS,
        note=f"{_SKIES} Discs mask a fifth of each field; the paper has the footprint of a survey of Coma. The "
        "networks were trained without masks. The numbers are about what lies inside.",
    ),
    Experiment(
        "cha.figure10",
        "mass and filaments of a cluster like Coma",
        "Figure 10",
        "an NFW fit gives a mass like that of other methods, 7.4 (-3.1, +2.4) 1e14 Msun, and filaments lie where known "
        "ones are",
        mass_and_filaments,
        plot_images,
        networks=_NETWORKS,
        note=f"{_COMA} The mass is the paper's of Coma: our fits are to be held against what was planted, and say "
        "nothing on that of the paper. The fit takes maps as they are: what a method smooths away is missing in its "
        "mass, but for the known smoothing of KS93. Filaments are those of maps smoothed by 2.5 arcmin more, the truth "
        "as well. By chance: filaments in the directions opposite to those that have one.",
    ),
    Experiment(
        "cha.figure11",
        "convergence by direction about a cluster like Coma",
        "Figure 11",
        "it is highest in the directions of known filaments",
        azimuthal_excess,
        plot_azimuth,
        networks=_NETWORKS,
        note=_COMA,
    ),
)
"""Figures 2 to 11 of Cha et al. 2025."""

_OTHERS = "Our skies are lognormal, MIU²Net has simulations of its own; below size paper the networks are small ones."

MIU2NET = (
    Experiment(
        "miu2net.distribution",
        "distribution of the convergence, and root mean square error, of each method",
        "slides",
        "the error is 5 % below that of DeepMass, and 38 % after smoothing by 1 arcmin",
        miu2net_maps.distribution,
        plot_densities,
        networks=_NETWORKS,
        note=f"{_OTHERS} DeepMass, whose published training mixed up flips, is not among our methods: errors are over "
        "that of the Wiener filter.",
    ),
    Experiment(
        "miu2net.dynamic_range",
        "what each method makes of the height of peaks",
        "slides",
        "the range of the convergence is recovered",
        miu2net_maps.dynamic_range,
        plot_heights,
        networks=_NETWORKS,
        note=f"{_OTHERS} The highest of many pixels is high in any noisy map: the value at the peak itself is not "
        "raised by noise.",
    ),
    Experiment(
        "miu2net.power",
        "power of maps over the true power",
        "slides",
        "right to 4 % up to a multipole of 500",
        miu2net_maps.power,
        plot_power_ratios,
        networks=_NETWORKS,
        note=f"{_OTHERS} The least error and the right power exclude each other wherever there is noise: the Wiener "
        "filter has the power of the truth times that share of it which can be known. The lowest rings of small fields "
        "have few modes.",
    ),
    Experiment(
        "miu2net.merging_clusters",
        "pairs of clusters: their cores, and the space between them",
        "slides",
        "maps show both clusters, where those by Kaiser and Squires blur them",
        miu2net_maps.merging_clusters,
        plot_pair_frames,
        networks=_NETWORKS,
        note="Our skies are haloes in a lognormal field, on which no network was trained: pairs are close on the "
        "sky only, and there is no bridge between them beyond what their haloes make. N counts pairs; errors are over "
        "fields.",
    ),
)
"""What the slides and the paper of MIU²Net show."""
