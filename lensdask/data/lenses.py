"""The schemas of strong lenses: images, and what networks say of them."""

from lensdask.data.schema import COMMON, Attribute, Schema, Variable

__all__ = ["LENSES", "LENS_FITS", "LENS_PREDICTIONS"]


def _per_lens(units: str, meaning: str) -> Variable:
    return Variable(("lens",), "float32", units, meaning, required=False)


LENSES = Schema(
    name="lenses",
    version=1,
    variables={
        "image": Variable(("lens", "y", "x"), "float32", "electron s-1", "image of a lensed galaxy, without the sky"),
        "label": Variable(
            ("lens",), "int8", "1", "0 no substructure, 1 subhaloes of cold dark matter, 2 a vortex, -1 unknown"
        ),
        "log10_mass": Variable(("lens",), "float32", "1", "log10 of the axion mass in eV; NaN without a vortex"),
        "theta_e": _per_lens("arcsec", "Einstein radius of the smooth lens"),
        "e1": _per_lens("1", "ellipticity (1 - q) / (1 + q) of the smooth lens, first component"),
        "e2": _per_lens("1", "ellipticity of the smooth lens, second component"),
        "gamma1": _per_lens("1", "external shear, first component"),
        "gamma2": _per_lens("1", "external shear, second component"),
        "source_x": _per_lens("arcsec", "place of the source along x"),
        "source_y": _per_lens("arcsec", "place of the source along y"),
        "source_flux": _per_lens("electron s-1", "flux of the source without lensing"),
        "source_radius": _per_lens("arcsec", "half-light radius of the source"),
        "source_index": _per_lens("1", "Sersic index of the source"),
        "source_e1": _per_lens("1", "ellipticity of the source, first component"),
        "source_e2": _per_lens("1", "ellipticity of the source, second component"),
        "subhaloes": _per_lens("1", "number of subhaloes"),
        "subhalo_mass": _per_lens("Msun", "mass of all subhaloes together"),
        "vortex_half_length": _per_lens("arcsec", "half length of the vortex; NaN where there is none"),
        "vortex_angle": _per_lens("rad", "angle from x to the vortex; NaN where there is none"),
    },
    coords={
        "lens": Variable(("lens",), "int64", "1", "id of the lens"),
        "y": Variable(("y",), "float64", "arcsec", "place of a pixel's centre along y, upwards", required=False),
        "x": Variable(("x",), "float64", "arcsec", "place of a pixel's centre along x, to the right", required=False),
    },
    attributes=COMMON
    | {
        "pixel_scale": Attribute("number", "arcsec", "side of a pixel"),
        "preset": Attribute("text", "1", "name of the lenses"),
        "survey": Attribute("text", "1", "name of the survey"),
        "signal": Attribute("text", "1", "name of the substructure"),
        "noise": Attribute("text", "1", "survey, or none"),
        "angle": Attribute("number", "deg", "by which all lenses are turned, counter-clockwise"),
        "seed": Attribute("whole number", "1", "seed of the simulation, None if it is not known", unknown=True),
    },
    unit_dim="lens",
    chunk=1024,
)
"""Images of strong lenses of known class, with what they were drawn from where that is known."""


def _fitted(units: str, meaning: str) -> Variable:
    return Variable(("lens",), "float32", units, meaning)


LENS_FITS = Schema(
    name="lens_fits",
    version=1,
    variables={
        "residual": Variable(
            ("lens", "y", "x"), "float32", "1", "image less the smooth lens, over the standard deviation of the noise"
        ),
        "chi2": _fitted("1", "sum of the squares of the residual"),
        "theta_e": _fitted("arcsec", "Einstein radius"),
        "e1": _fitted("1", "ellipticity (1 - q) / (1 + q) of the lens, first component"),
        "e2": _fitted("1", "ellipticity of the lens, second component"),
        "gamma1": _fitted("1", "external shear, first component"),
        "gamma2": _fitted("1", "external shear, second component"),
        "source_x": _fitted("arcsec", "place of the source along x"),
        "source_y": _fitted("arcsec", "place of the source along y"),
        "source_flux": _fitted("electron s-1", "flux of the source without lensing"),
        "source_radius": _fitted("arcsec", "half-light radius of the source"),
        "source_index": _fitted("1", "Sersic index of the source"),
        "source_e1": _fitted("1", "ellipticity of the source, first component"),
        "source_e2": _fitted("1", "ellipticity of the source, second component"),
    },
    coords=LENSES.coords,
    attributes=COMMON
    | {
        "pixel_scale": Attribute("number", "arcsec", "side of a pixel"),
        "survey": Attribute("text", "1", "whose PSF and noise the images were taken to have"),
        "lenses_hash": Attribute("text", "1", "configuration_hash of the lenses"),
    },
    unit_dim="lens",
    chunk=512,
)
"""Smooth lenses fitted to images, and what they leave of them."""

LENS_PREDICTIONS = Schema(
    name="lens_predictions",
    version=1,
    variables={
        "probability": Variable(
            ("lens", "class"), "float32", "1", "calibrated probability of each class; they add up to 1", required=False
        ),
        "log10_mass": _per_lens("1", "mean of log10 of the axion mass in eV, given that the lens has a vortex"),
        "log10_mass_error": _per_lens("1", "calibrated standard deviation of log10_mass, dex"),
    },
    coords={
        "lens": Variable(("lens",), "int64", "1", "id of the lens"),
        "class": Variable(("class",), "str", "1", "name of the class: none, cdm or vortex", required=False),
    },
    attributes=COMMON
    | {
        "pixel_scale": Attribute("number", "arcsec", "side of a pixel of the images"),
        "network": Attribute("text", "1", "name of the network, for people"),
        "network_sha256": Attribute("text", "1", "checksum of its weights"),
        "task": Attribute("text", "1", "what it is for: classify, or mass"),
        "calibration": Attribute("number", "1", "temperature of the probabilities, or scale of the errors of masses"),
        "lenses_hash": Attribute("text", "1", "configuration_hash of the lenses"),
        "trained_on": Attribute("list of text", "1", "configuration_hash of the lenses that the network learned from"),
    },
    unit_dim="lens",
    chunk=512,
)
"""Classes of lenses, or masses of axions, by a network."""
