"""The experiments of D4CNN × AnaCal (Lin, Li et al. 2026)."""

from lensdask.plots.d4cnn import (
    plot_conditions,
    plot_cuts,
    plot_nonlinearity,
    plot_numbers,
    plot_rotation,
    plot_shape_noise,
    plot_variants,
)
from lensdask.reproduce.d4cnn.biases import (
    ablations,
    conditions,
    magnitude_cuts,
    noise_schemes,
    training_sizes,
    weights_of_training_sizes,
)
from lensdask.reproduce.d4cnn.networks import ABLATIONS, weights_of
from lensdask.reproduce.d4cnn.precision import NETWORKS, shape_noise, speed
from lensdask.reproduce.d4cnn.profiles import ROTATED, nonlinearity, rotation_of_cnn, rotation_of_d4cnn
from lensdask.reproduce.experiment import Experiment

__all__ = ["D4CNN"]

_THIRD_ORDER = (
    "An exact first-order response leaves m of the order of g², a few 1e-4 at g = 0.02: the errors of the paper do not "
    "resolve it, smaller ones do."
)

D4CNN = (
    Experiment(
        "d4cnn.figure3",
        "one galaxy at many position angles, D4CNN",
        "Figure 3",
        "the ellipticity turns with the galaxy, exactly at 0 and ±90 degrees",
        rotation_of_d4cnn,
        plot_rotation,
        networks=weights_of(*ROTATED),
        note="The curve is of a network that learned FPFS ellipticities. The best network, d4cnn, learned none: it is "
        "as exact where the symmetry holds it, but its two components answer differently to a galaxy as elongated as "
        "this one, which shows between. Each component is calibrated by its own response.",
    ),
    Experiment(
        "d4cnn.figure4",
        "m and c against image noise, PSF ellipticity and resmoothing kernel",
        "Figure 4",
        "all biases are consistent with zero, |m| < 1e-3",
        conditions,
        plot_conditions,
        networks=weights_of("d4cnn"),
        note=_THIRD_ORDER,
    ),
    Experiment(
        "d4cnn.figure5",
        "m and c under cuts in FPFS magnitude, with the response of the cut and without",
        "Figure 5",
        "with the response of the cut all biases are consistent with zero",
        magnitude_cuts,
        plot_cuts,
        networks=weights_of("d4cnn"),
        note=f"{_THIRD_ORDER} The largest of many noisy |m| is large even without a bias: of 14 independent values "
        "without one, the largest |m| / error is about 2.",
    ),
    Experiment(
        "d4cnn.figure6",
        "shape noise of D4CNN and FPFS against image noise, i < 24.5",
        "Figure 6",
        "alike without noise; D4CNN is about 10 % lower at LSST year-10 noise",
        shape_noise,
        plot_shape_noise,
        networks=weights_of(*NETWORKS.values()),
        note="The best settings of FPFS are chosen on the galaxies on which it is then measured, which favours it a "
        "little. The paper does not name the settings of its FPFS.",
    ),
    Experiment(
        "d4cnn.figure7",
        "one galaxy at many position angles, plain CNN",
        "Figure 7",
        "without the symmetry the ellipticity is shifted and does not turn with the galaxy",
        rotation_of_cnn,
        plot_rotation,
        networks=weights_of("cnn"),
        note="By how much it is shifted is an accident of one training.",
    ),
    Experiment(
        "d4cnn.figure8",
        "round galaxies under shear: what a linear response leaves",
        "Figure 8",
        "a cubic for D4CNN, rougher with ReLU, a parabola for the plain CNN",
        nonlinearity,
        plot_nonlinearity,
        networks=weights_of(*ABLATIONS),
        note="The fits A g³ - B g + Q g² are of noiseless galaxies: no statistical error. If B comes from the linear "
        "fit, B = (3/5) A G² for shears between -G and G, and has the sign of A: the published signs contradict each "
        "other. The paper does not give G; 0.05 was chosen to match the sizes of its A and B.",
    ),
    Experiment(
        "d4cnn.table2",
        "m, c and shape noise of D4CNN with GELU, with ReLU, and of a plain CNN",
        "Table 2",
        "shape noise alike; the plain CNN has a large c and a larger m",
        ablations,
        plot_variants,
        networks=weights_of(*ABLATIONS),
        note=f"{_THIRD_ORDER} m and c of the plain CNN are accidents of one training, and are not compared.",
    ),
    Experiment(
        "d4cnn.table3",
        "m, c and shape noise of D4CNN against the size of its training set",
        "Table 3",
        "no bias and nearly the same shape noise from 1,000 to 20,000 stamps",
        training_sizes,
        plot_variants,
        networks=weights_of_training_sizes,
        note=_THIRD_ORDER,
    ),
    Experiment(
        "d4cnn.variance",
        "error of m that 1e5 galaxies leave, for each way to draw the noise of pairs",
        "not in the paper",
        "exchanged noise lets far fewer galaxies test m",
        noise_schemes,
        plot_numbers,
        networks=weights_of("d4cnn"),
        note="Errors are scaled from N galaxies to 1e5 as 1 / √N. How the noise is drawn changes the errors, not m.",
    ),
    Experiment(
        "d4cnn.speed",
        "time to measure a galaxy with its responses, and to train the network",
        "section 5",
        "0.7 ms a galaxy and 10 minutes of training on an H100, input and output included",
        speed,
        plot_numbers,
        networks=weights_of("d4cnn"),
        note="The published times are of an H100 and include input and output; ours are of stamps in memory, on the "
        "machine that result.json names in each row.",
    ),
)
"""Figures 3 to 8, tables 2 and 3, and what the paper says of speed."""
