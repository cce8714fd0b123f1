"""Simulated galaxies: catalogues, profiles, two renderers."""
