"""The shipped networks of mass maps against Kaiser & Squires and the Wiener filter, on fields that no training met."""

from pathlib import Path

import numpy as np
import pytest

import lensdask.massmap
from lensdask.data import load_card, load_weights
from lensdask.massmap.fields import ShearMaps
from lensdask.massmap.kaiser_squires import kaiser_squires
from lensdask.massmap.mock import NoiseModel, observe
from lensdask.massmap.networks import build_network, network_maps
from lensdask.massmap.wiener import wiener
from lensdask.sky.power import convergence_power
from lensdask.sky.simulate import SkyConfig, simulate_sky

pytestmark = pytest.mark.science

WEIGHTS = Path(lensdask.massmap.__file__).parent / "weights"
SKY, NOISE = SkyConfig(size=128, pixel_scale=0.82), NoiseModel()
FIELDS, SEED = 64, 2026
SMOOTHINGS = np.arange(1.0, 5.1, 0.5)


def errors(found: np.ndarray, kappa: np.ndarray) -> np.ndarray:
    """Return the root mean square error of each map."""
    return np.sqrt(((found - kappa) ** 2).mean(axis=(1, 2)))


@pytest.fixture(scope="module")
def observed() -> tuple[ShearMaps, np.ndarray]:
    ids = np.arange(FIELDS)
    sky = simulate_sky(ids, SKY, SEED)
    return observe(ids, sky.g1, sky.g2, NOISE, SKY.pixel_scale, SEED), sky.kappa


@pytest.fixture(scope="module")
def bars(observed) -> dict[str, np.ndarray]:
    """Return the errors of the two bars: KS93 at its best smoothing, and the Wiener filter that knows the power."""
    maps, kappa = observed
    smoothed = [
        kaiser_squires(maps.g1, maps.g2, pixel_scale=SKY.pixel_scale, smoothing=float(s), padding=2.0)[0]
        for s in SMOOTHINGS
    ]
    power = convergence_power(SKY.source).smoothed(SKY.resolution)
    best = wiener(*maps[:3], pixel_scale=SKY.pixel_scale, power=power, tolerance=1e-4).kappa
    ks93 = min((errors(found, kappa) for found in smoothed), key=np.mean)
    return {"ks93": ks93, "wiener": errors(best, kappa)}


@pytest.mark.parametrize("name", ["cha", "h21", "miu2net"])
def test_shipped_networks_beat_the_linear_methods(observed, bars, name) -> None:
    maps, kappa = observed
    path = WEIGHTS / f"{name}.safetensors"
    network = build_network(load_card(path))
    network.load_state_dict(load_weights(path))
    found = errors(network_maps(network, maps), kappa)
    for bar, reference in bars.items():
        difference = found - reference
        error = difference.std(ddof=1) / np.sqrt(FIELDS)
        print(f"{name}: rmse {found.mean():.5f}, minus that of {bar} {difference.mean():+.2e} ± {error:.1e}")
        # Field by field the difference is much better known than either.
        assert difference.mean() < -3 * error
