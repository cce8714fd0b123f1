"""Configurations refuse what makes no sense when they are made, not when they are used."""

import numpy as np
import pytest

from lensdask.compute import RunOptions
from lensdask.errors import InputError
from lensdask.maps.mock import Survey
from lensdask.massmap.method import Method
from lensdask.massmap.products import Products
from lensdask.shear.imaging import Imaging
from lensdask.shear.noise import Noise
from lensdask.shear.shapes.fpfs import FPFS
from lensdask.shear.simulation.observation import Observation
from lensdask.sky.simulate import SkyConfig

PSF = np.ones((2, 2)) / 4


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (SkyConfig, {"size": 127}, "size: 127 pixels; expected an even number"),
        (SkyConfig, {"pixel_scale": -1}, "pixel_scale: -1; expected a number from 0.001 to 1000"),
        (SkyConfig, {"source": "des"}, "source: 'des'; expected one of zs1.0"),
        (SkyConfig, {"generator": "nbody"}, "generator: 'nbody'; expected lognormal or halo"),
        (Survey, {"density": 0}, "density: 0; expected a number from"),
        (Observation, {"size": 64.0}, "size: 64.0; expected an even number of pixels"),
        (Observation, {"noise_sigma": np.nan}, "noise_sigma: nan; expected a number from 0 to 1e+06"),
        (Observation, {"psf_e1": 0.8, "psf_e2": 0.6}, "PSF ellipticity: 1.0; expected a number of at most 0.9"),
        (Observation, {"shear": 0.5}, "shear: 0.5; expected an amplitude"),
        (FPFS, {"sigma": 0}, "fpfs sigma: 0; expected a positive number"),
        (FPFS, {"C": -1}, "fpfs C: -1; expected a number of at least 0"),
        (Noise, {"sigma": 1.0, "of_pairs": "same"}, "noise_of_pairs: 'same'; expected independent or exchanged"),
        (
            Imaging,
            {"psf": PSF, "pixel_scale": 0, "noise_sigma": 0},
            "pixel_scale: 0; expected a number from 0.001 to 100",
        ),
        (Imaging, {"psf": PSF, "pixel_scale": 1, "noise_sigma": -1}, "noise_sigma: -1; expected a number of"),
        (Method, {"name": "glimpse", "kind": "glimpse"}, "method glimpse: 'glimpse'; expected ks93, ksplus"),
        (Method, {"name": "ks93:-1", "kind": "ks93", "scale": -1}, "method ks93:-1: scale: -1; expected a number of"),
        (Products, {"noise_realisations": 2.5}, "noise_realisations: 2.5; expected a whole number"),
        (RunOptions, {"device": "tpu"}, "device: 'tpu'; expected auto, cpu or cuda"),
        (RunOptions, {"workers": 0}, "workers: 0; expected a whole number from 1 to 4096"),
        (RunOptions, {"if_exists": "append"}, "if_exists: 'append'; expected refuse, resume or overwrite"),
    ],
)
def test_bad_settings_are_refused_at_once(make, settings, message):
    with pytest.raises(InputError) as refused:
        make(**settings)
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)
