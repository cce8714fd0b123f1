"""What Kacprzak & Fluri 2022 print."""

__all__ = ["ALTERNATIVES", "COLUMNS", "MEAN_REDSHIFTS", "TABLE1", "TABLE2"]

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

_TABLE2 = {
    "omega_m": (1.7, 1.5, 1.3, 1.6, 1.5),
    "sigma8": (2.1, 1.6, 1.2, 1.3, 1.2),
    "s8": (3.0, 0.9, 1.3, 2.3, 1.5),
    "figure of merit": (11.0, 1.7, 6.2, 14.9, 13.2),
    "a_ia": (3.9, None, None, 8.3, 8.1),
    "b_g": (None, 1.6, 1.5, 1.5, 1.4),
    "r_g": (None, 4.4, 4.3, 3.6, 4.8),
    "eta_ia": (1.0, None, None, 1.4, 1.6),
    "eta_b": (None, 1.3, 1.7, 1.2, 1.7),
    "b_g2": (None, None, 2.6, None, 2.7),
    "eta_b2": (None, None, 1.4, None, 1.7),
}

COLUMNS = (
    ("lensing", "large"),
    ("clustering", "large"),
    ("clustering", "small"),
    ("combined", "large"),
    ("combined", "small"),
)
"""Probes and scales of Table II."""

TABLE2 = {
    column: {name: values[i] for name, values in _TABLE2.items() if values[i] is not None}
    for i, column in enumerate(COLUMNS)
}
"""Gains of the CNN over power spectra by parameter, for each probe and its scales: Table II."""

ALTERNATIVES = {
    "paper-xl": 2_873_379,
    "local": 734_883,
    "local-xl": 4_224_291,
    "separable": 438_415,
    "separable-xl": 3_270_799,
}
"""Trainable parameters of the alternative networks of spectra, appendix D, by the names that ours have."""
