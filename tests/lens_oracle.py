"""The images of lenses by lenstronomy, one after another, and lenses to compare them on."""

import warnings

import numpy as np

from lensdask.stronglens.simulation.drawing import draw_class
from lensdask.stronglens.simulation.presets import find_preset, find_signal, find_survey


def lenses_of(name, preset, survey, ids, signal=None, seed=3):
    """Return lenses of a class, drawn as a run draws them."""
    lenses = find_preset(preset)
    return draw_class(ids, name, lenses, find_signal(signal or lenses.signal), find_survey(survey), 0.0, seed).lenses


def masses_of(lenses, i):
    """Return lenstronomy's names and numbers of the masses of one lens."""
    macro = {name: each[i] for name, each in lenses.macro._asdict().items()}
    names = ["SIE", "SHEAR"]
    numbers = [
        {"theta_E": macro["theta_e"], "e1": macro["e1"], "e2": macro["e2"], "center_x": 0, "center_y": 0},
        {"gamma1": macro["gamma1"], "gamma2": macro["gamma2"]},
    ]
    for kind, clumps in (("POINT_MASS", lenses.points), ("PJAFFE", lenses.haloes)):
        for x, y, mass, outer in zip(*(each[i] for each in clumps or ()), strict=True):
            jaffe = {"sigma0": mass / (0.02 * outer**2), "Ra": 0.01 * outer, "Rs": outer}
            if mass > 0:
                names.append(kind)
                numbers.append({"center_x": x, "center_y": y} | (jaffe if kind == "PJAFFE" else {"theta_E": mass**0.5}))
    return names, numbers


def imaging_of(lenses, i, survey, size=64):
    """Return a function without arguments that makes the image of one lens by lenstronomy."""
    with warnings.catch_warnings():
        # Of packages that it imports.
        warnings.simplefilter("ignore")
        from lenstronomy.Data.imaging_data import ImageData
        from lenstronomy.Data.psf import PSF
        from lenstronomy.ImSim.image_model import ImageModel
        from lenstronomy.LensModel.lens_model import LensModel
        from lenstronomy.LightModel.light_model import LightModel

    edge, scale = -(size - 1) / 2 * survey.pixel_scale, survey.pixel_scale
    pixels = np.zeros((size, size))
    data = ImageData(pixels, ra_at_xy_0=edge, dec_at_xy_0=edge, transform_pix2angle=np.eye(2) * scale)
    blur = {"psf_type": "GAUSSIAN", "fwhm": survey.psf_fwhm, "pixel_size": scale, "truncation": 5}
    names, numbers = masses_of(lenses, i)
    source = {name: each[i] for name, each in lenses.source._asdict().items()}
    shape = {"R_sersic": source["radius"], "n_sersic": source["index"], "e1": source["e1"], "e2": source["e2"]}
    light = LightModel(["SERSIC_ELLIPSE"])
    amplitude = source["flux"] / light.total_flux([shape | {"amp": 1.0}], norm=False)[0]
    model = ImageModel(
        data,
        PSF(**blur) if survey.psf_fwhm else PSF(psf_type="NONE"),
        lens_model_class=LensModel(names),
        source_model_class=light,
    )
    lights = [shape | {"amp": amplitude, "center_x": source["x"], "center_y": source["y"]}]
    return lambda: model.image(numbers, lights)
