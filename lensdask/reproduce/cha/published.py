"""The numbers that Cha et al. 2025 print, and no others; most are "about", read off their figures by themselves."""

__all__ = [
    "COMA_MASS",
    "COMPLETENESS",
    "LOSS_RANGE",
    "MATCHED_PIXELS",
    "NULL_MODE",
    "NULL_RANGE",
    "PARAMETERS",
    "SLOPES",
    "SMOOTHING",
    "TEST_MAPS",
]

COMA_MASS = (7.4e14, -3.1e14, 2.4e14)
"""M200 of the Coma cluster in Msun, with its lower and upper error, from an NFW fit to the mass map (section 4.3)."""

COMPLETENESS = {("cha", 1e14): 0.75, ("ks93", 1e14): 0.35, ("cha", 3e14): 0.90}
"""Share of the clusters found, by method and projected mass within 1 Mpc in Msun (sections 3.4 and 5)."""

LOSS_RANGE = (200.0, 210.0)
"""Loss of equation 8 on the test maps of Figure 2, summed over 512² pixels (section 3.1)."""

MATCHED_PIXELS = 6.0
"""Largest distance between partners (section 3.4)."""

NULL_MODE = -0.01
"""Most frequent κ of maps made from noise alone (section 4.1)."""

NULL_RANGE = (-0.04, 0.06)
"""Range of κ of 1000 maps made from noise alone (text of section 4.1); the caption of Figure 8 has -0.02 to 0.04."""

PARAMETERS = 5.6e6
"""Free parameters of the network (Table 1), rounded; the table adds up to 5,606,617."""

SLOPES = {"cha": 0.70, "h21": 0.47}
"""Slope of the reconstructed against the true κ of pixels by total least squares (section 3.2 and Figure 3)."""

SMOOTHING = 150.0
"""Standard deviation of the Gaussian of their Kaiser-Squires maps, arcsec (section 3)."""

TEST_MAPS = 200
"""Maps of the test (section 2.2)."""
