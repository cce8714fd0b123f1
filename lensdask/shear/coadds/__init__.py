"""From a coadd to a calibrated catalogue of shear."""
