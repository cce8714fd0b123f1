"""Tomographic skies: lensing, intrinsic alignment and matter in redshift bins, from shells that all of them share."""
