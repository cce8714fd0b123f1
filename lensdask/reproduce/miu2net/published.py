"""The numbers that MIU²Net's paper and slides print (Han, Zhao, Chen et al. 2026), and no others."""

__all__ = ["POWER_ACCURACY", "RMSE_AGAINST_DEEPMASS", "RMSE_SMOOTHING", "TEST_MAPS"]

POWER_ACCURACY = (0.04, 500.0)
"""Relative accuracy of the power spectrum of the reconstruction, and the ℓ up to which it holds, "about"."""

RMSE_AGAINST_DEEPMASS = {"raw": -0.05, "smoothed": -0.38}
"""Change of the RMSE against DeepMass, without smoothing and with; of a DeepMass whose training had other flips for its
inputs than for its targets."""

RMSE_SMOOTHING = 1.0
"""Smoothing of the second, arcmin."""

TEST_MAPS = 500
"""Reconstructions of the test of the dynamic range."""
