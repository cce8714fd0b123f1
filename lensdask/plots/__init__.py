"""Figures. They draw what they are given and compute nothing beyond histograms."""

from lensdask.plots.catalogue import plot_catalogue

__all__ = ["plot_catalogue"]
