"""Arrays that methods are called with: masks are not lost, and what is not finite does not spread over a map."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from astropy.utils.masked import Masked

from lensdask.errors import InputError
from lensdask.maps.statistics.peaks import find_peaks
from lensdask.massmap.classical.aperture import aperture_mass
from lensdask.massmap.classical.ks93 import kaiser_squires
from lensdask.massmap.classical.ksplus import kaiser_squires_plus
from lensdask.massmap.classical.wiener_filter import wiener
from lensdask.sky.power import ConvergencePower

POWER = ConvergencePower(np.array([10.0, 100.0, 1000.0, 1e4]), np.array([1e-8, 1e-9, 1e-10, 1e-11]))
Method = Callable[..., tuple[np.ndarray, ...]]
METHODS: dict[str, tuple[Method, str]] = {
    "ks": (partial(kaiser_squires, pixel_scale=0.5), "weight"),
    "ks smoothed": (partial(kaiser_squires, pixel_scale=0.5, smoothing=1.0), "weight"),
    "ks+": (partial(kaiser_squires_plus, pixel_scale=0.5), "mask"),
    "wiener": (partial(wiener, pixel_scale=0.5, power=POWER), "weight"),
    "aperture": (partial(aperture_mass, pixel_scale=0.5, radius=2.0), "weight"),
}
HOLE = np.s_[:, 3:5, 4]


@pytest.fixture
def arrays(noisy_maps) -> dict[str, np.ndarray]:
    """Return g1, g2 and what is known, with nothing in a hole."""
    drawn = noisy_maps((2, 16, 14), 0)
    found = {"g1": drawn.g1.copy(), "g2": drawn.g2.copy(), "known": drawn.weight.copy()}
    for array in found.values():
        array[HOLE] = 0
    return found


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("masked", [lambda g: np.ma.MaskedArray(g, g > 0), lambda g: Masked(g, mask=g > 0)])
def test_masked_arrays_are_refused(arrays, name: str, masked: Callable[[np.ndarray], np.ndarray]) -> None:
    method, known = METHODS[name]
    for place, which in enumerate(("g1", "g2", known)):
        maps = list(arrays.values())
        maps[place] = masked(maps[place])
        with pytest.raises(InputError, match=f"^{which}: a masked array; expected a plain one, with 0") as caught:
            method(maps[0], maps[1], **{known: maps[2]})
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("library", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", METHODS)
def test_what_is_not_finite_is_refused_where_it_counts(arrays, name: str, value: float, library) -> None:
    method, known = METHODS[name]

    def made() -> tuple[np.ndarray, ...]:
        g1, g2, weight = (library(array.copy()) for array in arrays.values())
        return method(g1, g2, **{known: weight})

    expected = made()
    arrays["g2"][HOLE] = value
    for one, other in zip(made(), expected, strict=True):
        np.testing.assert_array_equal(one, other)
    arrays["known"][HOLE] = 1
    with pytest.raises(InputError, match=f"^g2: not finite in 4 pixels; expected numbers, or a {known} of 0 there$"):
        made()
    arrays["g2"][HOLE] = 0
    for wrong, message in {value: "not finite in 4 pixels; expected numbers$", -1.0: "negative in a pixel"}.items():
        arrays["known"][HOLE] = wrong
        with pytest.raises(InputError, match=f"^{known}: {message}"):
            made()


def test_without_weights_every_pixel_counts(arrays) -> None:
    arrays["g1"][0, 3, 4] = np.nan
    with pytest.raises(InputError, match=r"^g1: not finite in 1 pixels; expected numbers$"):
        kaiser_squires(arrays["g1"], arrays["g2"], pixel_scale=0.5)


def test_peaks_of_masked_maps_are_refused(arrays) -> None:
    kappa = arrays["g1"]
    for maps, mask in ((np.ma.masked_greater(kappa, 0.0), None), (kappa, Masked(kappa > 0))):
        with pytest.raises(InputError, match=r"^maps: a masked array; expected plain ones"):
            find_peaks(maps, mask=mask)
