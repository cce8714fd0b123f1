"""Networks that classify images of strong lenses, or regress the mass of the axion, and their training."""
