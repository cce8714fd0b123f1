"""Particle-mesh simulations of matter, and the tomographic maps of a light cone through them."""
