"""Networks that make mass maps, and how they are trained."""
