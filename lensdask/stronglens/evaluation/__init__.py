"""How good predictions of strong lenses are."""
