import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lensdask.errors import InputError
from lensdask.maps.fields import ShearMaps
from lensdask.maps.symmetry import SYMMETRIES, moved, moved_shear_maps, symmetrised
from lensdask.massmap.networks.architectures import build_network, describe, make_network, network_maps
from lensdask.massmap.networks.cha import CHA_PAPER, CHA_SMALL, ChaConfig
from lensdask.massmap.networks.h21 import H21_LIKE, H21_SMALL, H21Config
from lensdask.massmap.networks.inputs import network_inputs
from lensdask.massmap.networks.miu2net import MIU2NET_PAPER, MIU2NET_SMALL, MIU2NetConfig
from lensdask.sky.lensing import convergence_of_shear

TINY = {
    "cha": ChaConfig(channels=2, first_kernels=(3, 5), large_kernel=7, input_scale=0.1, output_scale=0.02),
    "h21": H21Config(channels=2, reduction=2, first_kernel=4, kernel=5, pairs=2, inputs="weighted+weight"),
    "miu2net": MIU2NetConfig(
        heights=(4, 0),
        middle=(2, 3),
        channels=(4, 4),
        middle_up=(2,),
        channels_up=(4,),
        inputs="shear+mask+ks",
        input_scale=0.1,
        output_scale=0.02,
    ),
}
CONFIGS = [CHA_PAPER, CHA_SMALL, H21_LIKE, H21_SMALL, MIU2NET_PAPER, MIU2NET_SMALL, *TINY.values()]


def some_maps(fields: int = 3, height: int = 24, width: int = 24) -> ShearMaps:
    """Return shear maps with holes, pixels without galaxies, and nonsense outside the mask."""
    rng = np.random.default_rng(4)
    shape = fields, height, width
    count = rng.poisson(3.0, shape)
    mask = np.ones(shape, dtype=np.int8)
    mask[:, 3:8, 10:15] = 0
    weight = np.where(mask == 1, count / 0.24**2, 0).astype(np.float32)
    g1, g2 = (np.where(weight > 0, rng.normal(0, 0.1, shape), 0).astype(np.float32) for _ in range(2))
    g1[mask == 0] = np.nan
    error = np.where(weight > 0, rng.uniform(0, 0.3, shape), 0).astype(np.float32)
    return ShearMaps(g1, g2, weight, error, mask)


def network(name: str) -> torch.nn.Module:
    torch.manual_seed(2)
    return make_network(TINY[name]).eval()


def test_channels() -> None:
    maps = some_maps()
    config = SimpleNamespace(inputs="shear+weighted+weight+error+mask+ks", input_scale=0.1, output_scale=1.0)
    channels = network_inputs(config, maps)
    assert channels.shape == (3, 9, 24, 24)
    assert channels.dtype == torch.float32
    assert torch.isfinite(channels).all()
    g1, around = np.where(maps.weight > 0, maps.g1, 0), ((0, 0), (0, 24), (0, 24))
    expected = [
        g1 / 0.1,
        maps.g2 / 0.1,
        g1 * maps.weight * 0.1,
        maps.g2 * maps.weight * 0.1,
        maps.weight * 0.01,
        maps.measurement_error / 0.1,
        maps.mask,
        *(
            mode[:, :24, :24]
            for mode in convergence_of_shear(*(np.pad(g * maps.weight * 0.1, around) for g in (g1, maps.g2)))
        ),
    ]
    for number, part in enumerate(expected):
        np.testing.assert_allclose(channels[:, number], part, rtol=1e-5, atol=1e-6, err_msg=str(number))


def test_channels_come_in_the_order_asked_for() -> None:
    maps = ShearMaps(*(torch.from_numpy(part) for part in some_maps()))
    there, back = (
        network_inputs(SimpleNamespace(inputs=inputs, input_scale=1.0, output_scale=1.0), maps)
        for inputs in ("mask+shear", "shear+mask")
    )
    assert torch.equal(there[:, [1, 2, 0]], back)


@pytest.mark.parametrize("config", CONFIGS)
def test_card_describes_the_network(config) -> None:
    card = json.loads(json.dumps(describe(config)))
    with torch.device("meta"):
        built = build_network(card)
        assert built.config == config
        assert type(built) is type(make_network(config))


@pytest.mark.parametrize(
    "card",
    [
        {"architecture": "d4cnn", "config": {}},
        {"architecture": "cha", "config": []},
        {"architecture": "cha", "config": {"kernels": 3}},
        {"architecture": "cha", "config": {"channels": "many"}},
        {"architecture": "miu2net", "config": {"first_kernels": [3]}},
    ],
    ids=str,
)
def test_wrong_cards_are_refused(card) -> None:
    with pytest.raises(InputError, match="card of the weights"):
        build_network(card)


@pytest.mark.parametrize("name", TINY)
def test_maps_do_not_depend_on_what_is_beside_them(name) -> None:
    net, maps = network(name), some_maps(5)
    together = network_maps(net, maps, batch=2)
    assert together.shape == (5, 24, 24)
    assert together.dtype == np.float32
    assert together.std() > 0
    for field in range(5):
        alone = network_maps(net, ShearMaps(*(part[field : field + 1] for part in maps)), batch=2)
        assert np.array_equal(alone[0], together[field])


@pytest.mark.parametrize("name", TINY)
def test_maps_are_the_networks_first_output(name) -> None:
    net, maps = network(name), some_maps(2, 24, 30)
    with torch.no_grad():
        expected = net(network_inputs(net.config, maps))[:, 0].numpy()
    assert np.array_equal(network_maps(net, maps, batch=2), expected)


def test_a_network_in_training_stays_so_and_is_not_changed() -> None:
    net, maps = network("miu2net"), some_maps(2)
    expected = network_maps(net, maps)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert np.array_equal(network_maps(net.train(), maps), expected)
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("name", TINY)
def test_symmetrised_network_turns_with_the_field(name) -> None:
    net, maps = network(name).double(), some_maps(1)

    def mapped(maps: ShearMaps) -> np.ndarray:
        with torch.no_grad():
            return net(network_inputs(net.config, maps).double())[:, 0].numpy()

    single = network(name)
    kappa, kappa32 = (
        symmetrised(mapped, maps),
        symmetrised(lambda maps: network_maps(single, maps, batch=1), maps),
    )
    plain = mapped(maps)
    for symmetry in SYMMETRIES[1:]:
        there = moved_shear_maps(symmetry, maps)
        # The Fourier transform of the KS channel is in single precision.
        np.testing.assert_allclose(symmetrised(mapped, there), moved(symmetry, kappa), atol=1e-6 * kappa.std())
        found = symmetrised(lambda maps: network_maps(single, maps, batch=1), there)
        np.testing.assert_allclose(found, moved(symmetry, kappa32), atol=1e-5 * np.abs(kappa32).max())
        assert np.abs(mapped(there) - moved(symmetry, plain)).max() > 1e-3 * plain.std()


def test_field_too_small_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="field of 6 x 24 pixels; expected at least the kernel's 7 x 7"):
        network_maps(network("cha"), some_maps(1, 6, 24))
