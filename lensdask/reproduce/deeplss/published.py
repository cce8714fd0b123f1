"""What Kacprzak & Fluri 2022 print."""

__all__ = ["MEAN_REDSHIFTS", "TABLE1"]

MEAN_REDSHIFTS = (0.31, 0.48, 0.75, 0.94)
"""Of the four bins, appendix A."""

TABLE1 = {
    "omega_m": (0.15, 0.45, 0.29),
    "sigma8": (0.5, 1.2, 0.71),
    "a_ia": (-6.0, 6.0, 0.5),
    "b_g": (0.5, 2.5, 1.5),
    "r_g": (0.4, 1.0, 0.7),
    "eta_ia": (-4.0, 6.0, 1.6),
    "eta_b": (-3.0, 3.0, 0.5),
    "b_g2": (-3.0, 1.0, 0.5),
    "eta_b2": (-2.0, 2.0, 0.0),
}
"""Least and largest value of the prior, and the fiducial one, by parameter: Table I."""
