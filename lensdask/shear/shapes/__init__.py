"""Ellipticities and their shear responses: FPFS, D4CNN, and what both need."""
