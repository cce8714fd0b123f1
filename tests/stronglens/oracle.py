"""The same lenses by lenstronomy, one image after another."""

import numpy as np


_CORE = 0.01


def lens_model(lenses, i):
    """Return lenstronomy's names and numbers of the masses of one lens."""
    macro = {name: each[i] for name, each in lenses.macro._asdict().items()}
    names = ["SIE", "SHEAR"]
    numbers = [
        {name: macro[name] for name in ("e1", "e2")} | {"theta_E": macro["theta_e"], "center_x": 0, "center_y": 0},
        {name: macro[name] for name in ("gamma1", "gamma2")},
    ]
    for kind, clumps in (("POINT_MASS", lenses.points), ("PJAFFE", lenses.haloes)):
        for x, y, mass, outer in zip(*(each[i] for each in clumps), strict=True) if clumps else ():
            if mass == 0:
                continue
            inner = _CORE * outer
            about = (
                {"theta_E": mass**0.5}
                if kind == "POINT_MASS"
                else {"sigma0": mass / (2 * inner * outer), "Ra": inner, "Rs": outer}
            )
            names.append(kind)
            numbers.append(about | {"center_x": x, "center_y": y})
    return names, numbers


def image_model(lenses, i, survey, size):
    """Return lenstronomy's imaging of one lens: a function without arguments."""
    from lenstronomy.Data.imaging_data import ImageData
    from lenstronomy.Data.psf import PSF
    from lenstronomy.ImSim.image_model import ImageModel
    from lenstronomy.LensModel.lens_model import LensModel
    from lenstronomy.LightModel.light_model import LightModel

    edge = -(size - 1) / 2 * survey.pixel_scale
    data = ImageData(
        np.zeros((size, size)),
        ra_at_xy_0=edge,
        dec_at_xy_0=edge,
        transform_pix2angle=np.eye(2) * survey.pixel_scale,
    )
    blur = {"psf_type": "GAUSSIAN", "fwhm": survey.psf_fwhm, "pixel_size": survey.pixel_scale, "truncation": 5}
    psf = PSF(**blur) if survey.psf_fwhm else PSF(psf_type="NONE")
    names, numbers = lens_model(lenses, i)
    source = {name: each[i] for name, each in lenses.source._asdict().items()}
    light = LightModel(["SERSIC_ELLIPSE"])
    shape = {
        "R_sersic": source["radius"],
        "n_sersic": source["index"],
        "e1": source["e1"],
        "e2": source["e2"],
        "center_x": source["x"],
        "center_y": source["y"],
    }
    flux = light.total_flux([shape | {"amp": 1.0}], norm=False)[0]
    model = ImageModel(data, psf, lens_model_class=LensModel(names), source_model_class=light)
    return lambda: model.image(numbers, [shape | {"amp": source["flux"] / flux}])
