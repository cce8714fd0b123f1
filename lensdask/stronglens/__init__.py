"""Strong lenses: which dark matter substructure an image of a galaxy-galaxy lens shows."""
