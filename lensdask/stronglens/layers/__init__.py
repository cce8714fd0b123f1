"""Layers of networks that know what a turned image looks like."""
