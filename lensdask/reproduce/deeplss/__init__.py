"""Figures and tables of DeepLSS (Kacprzak & Fluri 2022)."""
