"""Cha, Jee, Hong et al. (2025)."""
