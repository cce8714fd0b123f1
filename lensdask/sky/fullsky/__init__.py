"""Full skies in HEALPix pixels that a user owns: shells of a light cone or projected maps, cut into tiles."""
