"""Smooth lenses fitted to images, and what they leave: the residual in units of the noise."""
