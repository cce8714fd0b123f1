"""Figures and tables of Cheeramvelil, Gleyzer & Toomey (2023): equivariant networks for strong lenses."""
