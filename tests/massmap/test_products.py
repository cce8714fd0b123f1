"""Any method on the same fields, and the maps beside the convergence."""

import numpy as np
import pytest
from mass_stores import NOISE, PIXEL_SCALE, save_network, simulated

from lensdask.errors import InputError
from lensdask.maps.fields import ShearMaps
from lensdask.maps.symmetry import SYMMETRIES, moved, moved_shear_maps
from lensdask.massmap.classical.ks93 import kaiser_squires
from lensdask.massmap.method import find_method
from lensdask.massmap.products import Products, reconstruct_maps

CLASSICAL = ["ks93", "ksplus", "wiener:zs1.0", "aperture"]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return save_network(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture(params=[*CLASSICAL, "network"])
def method(request, network):
    return find_method(network if request.param == "network" else request.param)


def made(maps, method, **options):
    return reconstruct_maps(maps, method, pixel_scale=PIXEL_SCALE, **options)


def part(maps, fields):
    return ShearMaps(*(array[fields] for array in maps))


@pytest.mark.parametrize("name", CLASSICAL)
def test_maps_show_the_mass(name):
    kappa, maps = simulated(4)
    found = made(maps, find_method(name))["kappa"]
    assert found.dtype == np.float32
    known = maps.mask != 0
    # Noise leaves a correlation of 0.4 to 0.8; the wrong parity would leave none, and the wrong sign the opposite.
    assert np.corrcoef(found[known], kappa[known])[0, 1] > 0.35


def test_a_field_has_the_same_maps_whatever_is_beside_it(method):
    _, maps = simulated(4)
    products = Products(b_mode=True, noise_realisations=3, n_eff=True)
    options = {"products": products, "sigma_e": NOISE.sigma_e, "seed": 5}
    together = made(maps, method, ids=np.arange(4), **options)
    assert list(together) == ["kappa", "kappa_b", "significance", "n_eff"]
    for number in range(4):
        alone = made(part(maps, slice(number, number + 1)), method, ids=np.array([number]), **options)
        for name, values in alone.items():
            np.testing.assert_array_equal(values[0], together[name][number], err_msg=name)


def test_what_lies_outside_of_the_footprint_does_not_matter(method):
    _, maps = simulated(2)
    outside = maps.mask == 0
    assert outside.any()
    broken = [np.where(outside, np.nan, array) for array in maps[:4]]
    expected, found = made(maps, method), made(ShearMaps(*broken, maps.mask), method)
    np.testing.assert_array_equal(found["kappa"], expected["kappa"])


def test_b_mode_of_kaiser_squires():
    _, maps = simulated(2)
    double = [np.asarray(array, dtype=np.float64) for array in maps]
    settings = {"pixel_scale": PIXEL_SCALE, "smoothing": 2.0, "padding": 1.5}
    _, kappa_b = kaiser_squires(*double[:2], weight=double[2], **settings)
    found = made(maps, find_method("ks93:2"), products=Products(b_mode=True))["kappa_b"]
    np.testing.assert_allclose(found, kappa_b, atol=1e-8)


@pytest.mark.parametrize("name", ["ks93", "aperture"])
def test_noise_has_a_significance_of_one(name):
    _, maps = simulated(2)
    rng = np.random.default_rng(1)
    sigma = 1 / np.sqrt(np.where(maps.weight > 0, maps.weight, np.inf))
    noise = maps._replace(g1=sigma * rng.normal(size=sigma.shape), g2=sigma * rng.normal(size=sigma.shape))
    found = made(noise, find_method(name), products=Products(noise_realisations=60))["significance"]
    # Some 150 independent patches of smoothed noise, whose own noise is known to 9 %.
    assert 0.8 < found[maps.mask != 0].std() < 1.2


def test_effective_number_of_galaxies():
    _, maps = simulated(2)
    found = made(maps, find_method("ks93"), products=Products(n_eff=True), sigma_e=NOISE.sigma_e)["n_eff"]
    known = maps.mask != 0
    # Without measurement errors all galaxies count the same: Poisson, 22 in each of 4000 pixels.
    assert found[known].mean() == pytest.approx(NOISE.density, rel=0.015)
    assert (found[~known] == 0).all()


def test_symmetrised_maps_turn_with_the_field(network):
    _, maps = simulated(1)
    plain, mean = find_method(network), find_method(network, symmetrised=True)
    expected, largest = made(maps, mean)["kappa"], 0.0
    for symmetry in SYMMETRIES:
        turned = moved_shear_maps(symmetry, maps)
        np.testing.assert_allclose(made(turned, mean)["kappa"], moved(symmetry, expected), atol=1e-7)
        largest = max(largest, np.abs(made(turned, plain)["kappa"] - moved(symmetry, made(maps, plain)["kappa"])).max())
    # The network by itself does not.
    assert largest > 1e-5


@pytest.mark.parametrize("number", [-1, 1])
def test_one_realisation_has_no_dispersion(number):
    with pytest.raises(InputError, match=f"noise_realisations: {number}"):
        Products(noise_realisations=number)


def test_effective_number_needs_the_dispersion():
    _, maps = simulated(1)
    with pytest.raises(InputError, match="the shear maps have no sigma_e"):
        made(maps, find_method("ks93"), products=Products(n_eff=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"g1": np.full((1, 48, 48), np.nan)}, "g1 is not finite inside the mask"),
        ({"g2": np.full((1, 48, 48), 1.5)}, r"\|g\| is 1 or more"),
        ({"weight": np.full((1, 48, 48), -1.0)}, "a weight is negative"),
        ({"mask": np.zeros((1, 48, 48))}, "nothing is inside the mask"),
        ({"g1": np.zeros((1, 48, 47))}, "shape"),
    ],
)
def test_maps_that_cannot_be_inverted(method, change, message):
    _, maps = simulated(1)
    with pytest.raises(InputError, match=message):
        made(maps._replace(**change), method)


def test_fields_too_small_for_a_network(network):
    _, maps = simulated(1)
    small = ShearMaps(*(array[:, :8, :8] for array in maps))
    with pytest.raises(InputError):
        made(small, find_method(network))
