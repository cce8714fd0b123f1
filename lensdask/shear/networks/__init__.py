"""Training of D4CNN."""
