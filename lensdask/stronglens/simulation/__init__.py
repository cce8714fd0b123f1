"""Images of strong lenses: deflections, sources, substructure, what a survey sees of them."""
