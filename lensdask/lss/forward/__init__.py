"""From noise-free maps of matter to what a survey observes: galaxies, their alignment, bias, noise, smoothing."""
