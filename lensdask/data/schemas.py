"""The schemas: what each dataset holds, its names, dimensions, types, units, attributes and chunks.

A schema is the law for its datasets. The template on disk, the checks of the writer, the checks at opening and the
descriptions of datasets in memory all read it, so a variable is described here, those of lenses beside, and nowhere
else.
"""

from collections.abc import Mapping

from lensdask.data.lenses import LENS_FITS, LENS_PREDICTIONS, LENSES
from lensdask.data.schema import COMMON, Attribute, Schema, Variable

__all__ = [
    "COMMON",
    "LENSES",
    "LENS_FITS",
    "LENS_PREDICTIONS",
    "LSS_CHAINS",
    "LSS_SPECTRA",
    "LSS_SUMMARIES",
    "LSS_TILES",
    "MASS_MAPS",
    "SCHEMAS",
    "SHAPES",
    "SHEAR_MAPS",
    "STAMPS",
]

_GALAXY_COORDS = {
    "galaxy": Variable(("galaxy",), "int64", "1", "id of the galaxy"),
    "g1": Variable(("shear",), "float64", "1", "applied reduced shear, first component", ("shear",), False),
    "g2": Variable(("shear",), "float64", "1", "applied reduced shear, second component", ("shear",), False),
}

STAMPS = Schema(
    name="stamps",
    version=1,
    variables={
        "image": Variable(
            ("galaxy", "shear", "y", "x"),
            "float32",
            "3.631 nJy",
            "image of one galaxy, origin at the centre of the stamp",
            ("shear",),
        ),
        "psf": Variable(
            ("galaxy", "psf_number", "y", "x"),
            "float64",
            "1",
            "point-spread function on the same pixels, of unit sum; one for all, one per galaxy, or those of psf_index",
            ("galaxy", "psf_number"),
        ),
        "noise_correlation": Variable(
            ("lag_y", "lag_x"),
            "float64",
            "1",
            "correlation function of the noise, lag (0, 0) first and negative lags last; white noise without it",
            required=False,
        ),
        "offset": Variable(
            ("galaxy", "axis"),
            "float64",
            "pixel",
            "place of the galaxy, (x, y) from the middle of its stamp; in the middle without it",
            required=False,
        ),
        "noise_scale": Variable(
            ("galaxy",), "float64", "1", "noise of the stamp over noise_sigma; 1 without it", required=False
        ),
        "renoise": Variable(
            ("galaxy", "y", "x"),
            "float32",
            "3.631 nJy",
            "second realisation of the noise; drawn by the id of the galaxy without it",
            required=False,
        ),
    },
    coords=_GALAXY_COORDS
    | {"psf_index": Variable(("galaxy",), "int64", "1", "which of the point-spread functions", required=False)},
    attributes=COMMON
    | {
        "pixel_scale": Attribute("number", "arcsec", "side of a pixel"),
        "noise_sigma": Attribute(
            "number", "3.631 nJy", "standard deviation of the noise per pixel, of the mean stamp; 0 for none"
        ),
        "seed": Attribute("whole number", "1", "seed of the simulation, None for real images", unknown=True),
        "origin": Attribute("text", "pixel", "place of the origin on both axes of a stamp of n pixels"),
        "noise_of_pairs": Attribute(
            "text",
            "1",
            "independent, or exchanged between galaxies 2p and 2p + 1",
            required=False,
            default="independent",
        ),
    },
    unit_dim="galaxy",
    chunk=1024,
    takes_columns=True,
)
"""Postage stamps of galaxies, simulated at one or more shears or real."""


def _per_galaxy(units: str, meaning: str) -> Variable:
    return Variable(("galaxy", "shear"), "float32", units, meaning, ("shear",))


SHAPES = Schema(
    name="shapes",
    version=1,
    variables={
        "e1": _per_galaxy("1", "ellipticity, first component"),
        "e2": _per_galaxy("1", "ellipticity, second component"),
        "de1_dg1": _per_galaxy("1", "response of e1 to g1"),
        "de1_dg2": _per_galaxy("1", "response of e1 to g2"),
        "de2_dg1": _per_galaxy("1", "response of e2 to g1"),
        "de2_dg2": _per_galaxy("1", "response of e2 to g2"),
        "flux": _per_galaxy("3.631 nJy", "flux, the selection variable"),
        "dflux_dg1": _per_galaxy("3.631 nJy", "response of the flux to g1"),
        "dflux_dg2": _per_galaxy("3.631 nJy", "response of the flux to g2"),
        "weight": _per_galaxy("1", "weight of the galaxy in averages"),
    },
    coords=_GALAXY_COORDS,
    attributes=COMMON | {"estimator": Attribute("text", "1", "name of the estimator")},
    unit_dim="galaxy",
    chunk=16384,
    takes_columns=True,
)
"""Shapes measured on stamps, with their responses to shear."""


def _per_pixel(
    meaning: str, dtype: str = "float32", units: str = "1", *, required: bool = True, formerly: str | None = None
) -> Variable:
    return Variable(("field", "y", "x"), dtype, units, meaning, required=required, formerly=formerly)


def _per_halo(units: str, meaning: str) -> Variable:
    return Variable(("field", "halo"), "float64", units, f"{meaning}; NaN where a field has fewer haloes", (), False)


def _per_axis(axis: str, direction: str) -> Variable:
    meaning = f"position of a pixel's centre along {axis}, {direction}, from the centre of the field"
    return Variable((axis,), "float64", "arcmin", meaning, required=False)


_FIELD_COORDS = {
    "field": Variable(("field",), "int64", "1", "id of the field"),
    "ra": Variable(("field",), "float64", "deg", "right ascension of the centre", (), False),
    "dec": Variable(("field",), "float64", "deg", "declination of the centre", (), False),
    # Optional, since stores of old have none; they are opened with them.
    "y": _per_axis("y", "upwards, on the sky to the north"),
    "x": _per_axis("x", "to the right, on the sky to the west"),
}

_MAP_PIXEL = Attribute("number", "arcmin", "side of a square pixel")

SHEAR_MAPS = Schema(
    name="shear_maps",
    version=1,
    variables={
        "g1": _per_pixel("mean reduced shear, first component, along x; 0 where there is no galaxy"),
        "g2": _per_pixel("mean reduced shear, second component; 0 where there is no galaxy"),
        "weight": _per_pixel("inverse variance of each component; 0 where there is no galaxy"),
        "measurement_error": _per_pixel(
            "mean measurement error of the shapes of the galaxies, per component", formerly="error"
        ),
        "count": _per_pixel("number of galaxies"),
        "mask": _per_pixel("1 inside of the footprint, 0 outside", "int8"),
        "kappa": _per_pixel("true convergence, where it is known", required=False),
        "halo_mass": _per_halo("Msun", "mass of a halo in front of the sources"),
        "halo_redshift": _per_halo("1", "redshift of a halo"),
        "halo_x": _per_halo("arcmin", "position of a halo along x from the centre of the field"),
        "halo_y": _per_halo("arcmin", "position of a halo along y from the centre of the field"),
    },
    coords=_FIELD_COORDS,
    attributes=COMMON
    | {
        "pixel_scale": _MAP_PIXEL,
        "density": Attribute("number", "arcmin-2", "galaxies per area of footprint", unknown=True),
        "sigma_e": Attribute("number", "1", "dispersion of each component of the ellipticity", unknown=True),
        "source": Attribute("text", "1", "redshifts of the galaxies, a name of lensdask.sky.sources", unknown=True),
        "seed": Attribute("whole number", "1", "seed of the simulation", unknown=True),
        "resolution": Attribute(
            "number", "arcmin", "standard deviation of the Gaussian that smooths the sky", required=False, default=0.0
        ),
    },
    unit_dim="field",
    chunk=4,
)
"""Shear catalogues binned on square pixels, fields side by side; with the truth where it is simulated."""

MASS_MAPS = Schema(
    name="mass_maps",
    version=1,
    variables={
        "kappa": _per_pixel("convergence, E mode"),
        "mask": _per_pixel("1 inside of the footprint, 0 outside", "int8"),
        "kappa_b": _per_pixel("B mode, which lensing does not make", required=False),
        "significance": _per_pixel("convergence over its noise", required=False),
        "n_eff": _per_pixel("effective number of galaxies per area", units="arcmin-2", required=False),
    },
    coords=_FIELD_COORDS,
    attributes=COMMON
    | {
        "pixel_scale": _MAP_PIXEL,
        "method": Attribute("text", "1", "name of the method"),
        "maps_hash": Attribute(
            "text",
            "1",
            "configuration_hash of the shear maps; None if they are not known",
            unknown=True,
            required=False,
        ),
        "trained_on": Attribute(
            "list of text", "1", "configuration_hash of the stores a network learned from", required=False, default=()
        ),
    },
    unit_dim="field",
    chunk=4,
)
"""Convergence maps reconstructed from shear maps."""

_PARAMETERS = {"parameters": Attribute("list of text", "1", "names of the parameters, in the order of their dimension")}

_PARAMETER = Variable(("parameter",), "str", "1", "name of the parameter", required=False)

_MAP_AXES = {name: _FIELD_COORDS[name] for name in ("y", "x")}

LSS_TILES = Schema(
    name="lss_tiles",
    version=1,
    variables={
        "map": Variable(
            ("cosmology", "seed", "tile", "field", "bin", "y", "x"),
            "float32",
            "1",
            "noise-free map of a redshift bin: convergence, that of intrinsic alignment of amplitude 1, or the density "
            "contrast of matter, as the field says; means are not subtracted",
        ),
    },
    coords={
        "cosmology": Variable(("cosmology",), "int64", "1", "number of the cosmology in this store"),
        "seed": Variable(("seed",), "int64", "1", "number of the simulation, by which its set is chosen"),
        "tile": Variable(("tile",), "int64", "1", "number of the tile in its simulation"),
        "field": Variable(("field",), "str", "1", "kappa, kappa_ia or delta"),
        "bin": Variable(("bin",), "int64", "1", "redshift bin, from 1"),
        "omega_m": Variable(("cosmology",), "float64", "1", "matter density today, in critical densities"),
        "sigma8": Variable(("cosmology",), "float64", "1", "linear fluctuations today in spheres of 8 Mpc / h"),
        "split": Variable(
            ("cosmology", "seed"), "str", "1", "what the simulation is for: training, validation, likelihood or test"
        ),
        **_MAP_AXES,
    },
    attributes=COMMON
    | {
        "pixel_scale": _MAP_PIXEL,
        "sky": Attribute(
            "text",
            "1",
            "what made the maps: lognormal or nbody; or what they are cut from: cosmogrid, gower, table or maps",
        ),
        "redshift": Attribute("list of numbers", "1", "redshifts at which n(z) is given"),
        "n_of_z": Attribute("list of numbers", "1", "n(z) of the galaxies of each bin, of unit integral"),
        "seed": Attribute("whole number", "1", "seed of all random numbers"),
        "box": Attribute(
            "list of numbers",
            "1",
            "of N-body simulations: particles on a side, side in Mpc, steps; none of lognormal maps",
            required=False,
            default=(),
        ),
        "w": Attribute(
            "list of numbers",
            "1",
            "pressure of dark energy over its density, by cosmology; where there is none, -1",
            required=False,
            default=(),
        ),
    },
    unit_dim="seed",
    chunk=1,
    outer_dims=("cosmology",),
    inner_chunks={"tile": 32},
)
"""Noise-free tomographic maps of simulated skies; a chunk is a simulation, one cosmology and seed."""

LSS_SUMMARIES = Schema(
    name="lss_summaries",
    version=1,
    variables={
        "theta_true": Variable(("sample", "parameter"), "float32", "1", "parameters that a mosaic was made with"),
        "theta_summary": Variable(("sample", "parameter"), "float32", "1", "what the compressor makes of the mosaic"),
        "power": Variable(
            ("sample", "feature"),
            "float32",
            "1",
            "logarithms of the power of each map in bands of multipole, which show whether a mosaic is like the others",
            required=False,
        ),
    },
    coords={"sample": Variable(("sample",), "int64", "1", "id of the mosaic"), "parameter": _PARAMETER},
    attributes=COMMON
    | _PARAMETERS
    | {
        "compressor_sha256": Attribute("text", "1", "checksum of the compressor"),
        "compressor": Attribute("text", "1", "name of the compressor, for people"),
        "probe": Attribute("text", "1", "lensing, clustering or combined"),
        "summary": Attribute("text", "1", "power, cnn or hybrid"),
        "tiles_hash": Attribute("text", "1", "configuration_hash of the tiles"),
        "sky": Attribute("text", "1", "what made the tiles: lognormal or nbody", required=False, default=""),
        "compressor_sky": Attribute(
            "text", "1", "what made the tiles that the compressor learned from", required=False, default=""
        ),
        "split": Attribute("text", "1", "which simulations: training, validation, likelihood or test"),
        "priors": Attribute(
            "text", "1", "priors of the parameters: table1 or released", required=False, default="table1"
        ),
        "seed": Attribute("whole number", "1", "seed of the forward model"),
    },
    unit_dim="sample",
    chunk=4096,
)
"""Summaries of mosaics, beside the parameters that they were made with."""

LSS_SPECTRA = Schema(
    name="lss_spectra",
    version=1,
    variables={
        "theta_true": Variable(("sample", "parameter"), "float32", "1", "parameters that a mosaic was made with"),
        "signed": Variable(("sample", "spectrum", "bin"), "float32", "1", "l (l + 1) C_l / 2 pi of Re(X Y*)"),
        "modulus": Variable(("sample", "spectrum", "bin"), "float32", "1", "the same of |X Y*| of each wave"),
    },
    coords={"sample": Variable(("sample",), "int64", "1", "id of the mosaic"), "parameter": _PARAMETER},
    attributes=COMMON
    | _PARAMETERS
    | {
        "probe": Attribute("text", "1", "lensing, clustering or combined"),
        "tiles_hash": Attribute("text", "1", "configuration_hash of the tiles"),
        "split": Attribute("text", "1", "which simulations: training, validation, likelihood or test"),
        "model_hash": Attribute("text", "1", "sha256 of the forward model but for its probe, and of fixed parameters"),
        "seed": Attribute("whole number", "1", "seed of the forward model"),
    },
    unit_dim="sample",
    chunk=512,
)
"""Power spectra of mosaics, of all pairs of their maps in the order (0, 0), (0, 1), ..., (1, 1), ..."""

LSS_CHAINS = Schema(
    name="lss_chains",
    version=1,
    variables={
        "theta": Variable(("chain", "draw", "parameter"), "float32", "1", "parameters"),
        "log_posterior": Variable(("chain", "draw"), "float32", "1", "logarithm of the posterior, up to a constant"),
        "observation": Variable(("parameter",), "float32", "1", "summary that was observed"),
    },
    coords={
        "chain": Variable(("chain",), "int64", "1", "number of the walker"),
        "draw": Variable(("draw",), "int64", "1", "step of the walker"),
        "parameter": _PARAMETER,
    },
    attributes=COMMON
    | _PARAMETERS
    | {
        "compressor_sha256": Attribute("text", "1", "checksum of the compressor of the summaries"),
        "summaries_hash": Attribute("text", "1", "configuration_hash of the summaries"),
        "seed": Attribute("whole number", "1", "seed of the sampler"),
    },
    unit_dim="chain",
    chunk=256,
)
"""Markov chains of the parameters, given an observed summary."""

SCHEMAS: Mapping[str, Schema] = {
    schema.name: schema
    for schema in (
        *(STAMPS, SHAPES, SHEAR_MAPS, MASS_MAPS),
        *(LSS_TILES, LSS_SUMMARIES, LSS_SPECTRA, LSS_CHAINS),
        *(LENSES, LENS_FITS, LENS_PREDICTIONS),
    )
}
"""The schemas that `lensdask.open` knows, by name."""
