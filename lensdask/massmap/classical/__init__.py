"""Mass maps without networks: Kaiser–Squires, KS+, the Wiener filter, the aperture mass."""
