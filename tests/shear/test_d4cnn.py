from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lensdask.compute import cached_model
from lensdask.data import load_card, save_weights
from lensdask.errors import InputError
from lensdask.fourier import coordinates
from lensdask.shear.shapes.d4cnn import D4CNN, PAPER, SMALL, D4CNNConfig, build_d4cnn, describe, orbit
from lensdask.shear.shapes.estimator import SHIPPED_WEIGHTS, find_estimator
from lensdask.shear.shapes.resmooth import Resmoothed, make_resmoother, resmooth
from lensdask.shear.shapes.response import shapes_with_response

SCALE = 0.2
RELU = replace(SMALL, activation="relu")
PLAIN = replace(SMALL, equivariant=False)
"""Ablations."""
PAPER_LIKE = D4CNNConfig(channels=(8, 8, 8), strides=(1, 1, 1))
"""The paper's network with fewer and narrower layers, on its 64 x 64 grid."""
TINY = D4CNNConfig(channels=(2, 3), strides=(1, 2), hidden=3, grid_points=8, grid_spacing=0.4)
WINDOW = replace(SMALL, window_fwhm=2.6)
CONFIGS = {"shipped": SMALL, "paper_like": PAPER_LIKE, "relu": RELU, "window": WINDOW}
RESPONSES = CONFIGS | {"plain": PLAIN, "no_norm": replace(SMALL, layer_norm=False), "tiny": TINY}
WEIGHTS = SHIPPED_WEIGHTS["d4cnn"]


def elongated(config: D4CNNConfig) -> torch.Tensor:
    """Return bright Gaussians of axis ratio 0.6 along x and along x = y, on the grid of a configuration."""
    x1 = torch.from_numpy(coordinates(*config.grid))[None]
    x2 = x1.T
    radii = [x1**2 + x2**2 / 0.36, 0.5 * (x1 + x2) ** 2 + 0.5 * (x1 - x2) ** 2 / 0.36]
    return 1000 * torch.exp(-torch.stack(radii) / 0.5)


def random_network(config: D4CNNConfig, dtype: torch.dtype = torch.float32) -> D4CNN:
    """Return a network of random weights whose ellipticities are neither tiny nor saturated.

    Untrained features hardly know the shape: the first odd layer is scaled until an elongated galaxy fills its tanh,
    and the second one, a random choice of whose weights might cancel, is replaced by the projection on that galaxy.
    """
    torch.manual_seed(12)
    network = D4CNN(config).requires_grad_(False).double()
    filled: list[torch.Tensor] = []
    for i, head in enumerate(network.odd):
        galaxy = elongated(config)[i : i + 1]
        for last in (False, True):
            hook = head[1].register_forward_hook(lambda _, inputs, output: filled.extend([inputs[0], output]))
            network(galaxy)
            hook.remove()
            output, before = filled.pop()[0], filled.pop()[0]
            if last:
                head[2].weight[0] = 0.8 * output / output.square().sum()
            else:
                head[0].weight /= before.abs().max()
    return network.to(dtype)


def shipped_network() -> D4CNN:
    """Return the network that comes with the package; random weights until it does."""
    if not Path(WEIGHTS).exists():
        return random_network(SMALL)
    chosen = find_estimator("d4cnn")
    return cached_model(build_d4cnn, chosen.weights, chosen.sha256, "cpu")


@pytest.fixture(scope="module")
def resmoothed(galaxies_under_shear: Callable) -> Callable[..., Resmoothed]:
    """Return noiseless galaxies as the network of a configuration wants them, in double precision."""

    def prepared(config: D4CNNConfig, g1: float = 0.0, g2: float = 0.0) -> Resmoothed:
        images, psf = galaxies_under_shear(g1, g2, 0.0, 0.0)
        resmoother = make_resmoother(psf, pixel_scale=SCALE, fwhm=config.kernel_fwhm, grid=config.grid)
        return resmooth(torch.from_numpy(images), resmoother)

    return prepared


def converted(images: Resmoothed, dtype: torch.dtype) -> Resmoothed:
    return Resmoothed(*(part.to(dtype) for part in images))


def by_autograd(network: torch.nn.Module, images: Resmoothed) -> torch.Tensor:
    """Return the table of shapes and responses as automatic differentiation, backwards, finds it."""
    value = images.value.clone().requires_grad_()
    e = network(value)
    # Galaxies are independent, so the gradient of the sum holds the gradient of each.
    gradients = [torch.autograd.grad(e[:, i].sum(), value, retain_graph=True)[0] for i in range(2)]
    rows = [(gradient * tangent).sum((-2, -1)) for gradient in gradients for tangent in images[1:]]
    return torch.stack([*e.detach().T, *rows])


# The eight operations, and how the ellipticity of a galaxy changes: a quarter turn reverses both components, a mirror
# in x or y the second one.
OPERATIONS = {
    f"turn{90 * quarter}{'_mirror' if mirror else ''}": (quarter, mirror, (-1) ** quarter, (-1) ** (quarter + mirror))
    for mirror in (0, 1)
    for quarter in range(4)
}


def moved(images: torch.Tensor, quarter: int, mirror: int) -> torch.Tensor:
    turned = torch.rot90(images, quarter, (-2, -1))
    return turned.flip(-2) if mirror else turned


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-12)], ids=["f32", "f64"])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize(("quarter", "mirror", "sign1", "sign2"), OPERATIONS.values(), ids=OPERATIONS)
def test_ellipticity_turns_with_the_galaxy(resmoothed, config, dtype, tolerance, quarter, mirror, sign1, sign2) -> None:
    network = random_network(config, dtype)
    images = resmoothed(config).value[:12].to(dtype)
    e, there = network(images), network(moved(images, quarter, mirror))
    assert (e.abs().amax(dim=0) > 0.02).all()
    assert 0.1 < e.abs().max() < 2
    assert (there - e * torch.tensor([sign1, sign2])).abs().max() <= tolerance


def test_plain_cnn_does_not_turn_with_the_galaxy(resmoothed) -> None:
    # The same backbone and heads; only the orbit is missing, and with it the symmetry.
    torch.manual_seed(0)
    plain, equivariant = D4CNN(PLAIN), D4CNN(SMALL)
    assert plain.state_dict().keys() == equivariant.state_dict().keys()
    images = resmoothed(PLAIN).value[:12].float()
    e, there = plain(images), plain(moved(images, 1, 0))
    assert (there + e).abs().max() > 0.1 * e.abs().max()
    assert (equivariant(moved(images, 1, 0)) + equivariant(images)).abs().max() < 1e-6


def test_response_of_relu_jumps_and_that_of_gelu_does_not(resmoothed) -> None:
    # Along a line of images the response is continuous, to the step, if the network is smooth.
    few = replace(SMALL, channels=(8, 8), strides=(1, 2))
    images = resmoothed(few)
    start, end = images.value[:1].double(), images.value[1:2].double()
    line = start + torch.linspace(0, 1, 400, dtype=torch.float64)[:, None, None] * (end - start)
    tangents = [plane[:1].double().expand_as(line) for plane in images[1:]]
    jumps = {}
    for config in (few, replace(few, activation="relu")):
        response = shapes_with_response(random_network(config, torch.float64), Resmoothed(line, *tangents))[2]
        bends = response.diff().diff().abs()
        jumps[config.activation] = (bends.max() / bends.median()).item()
    assert jumps["relu"] > 3 * jumps["gelu"]


def test_unknown_activation_is_refused() -> None:
    with pytest.raises(InputError, match="activation: 'tanh'; expected gelu or relu"):
        D4CNNConfig(activation="tanh")


def test_measured_ellipticity_of_the_shipped_network_turns_with_the_galaxy(resmoothed) -> None:
    network = shipped_network()
    images = converted(resmoothed(network.config), torch.float32)
    e = shapes_with_response(network, images)[:2].T
    for quarter, mirror, sign1, sign2 in OPERATIONS.values():
        there = shapes_with_response(network, Resmoothed(*(moved(plane, quarter, mirror) for plane in images)))[:2].T
        assert (there - e * torch.tensor([sign1, sign2])).abs().max() <= 7e-7


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_equivariance_does_not_need_symmetric_images(config) -> None:
    noise = 5 * torch.randn(6, config.grid_points, config.grid_points, generator=torch.Generator().manual_seed(1))
    network = random_network(config, torch.float64)
    e = network(noise.double())
    for quarter, mirror, sign1, sign2 in OPERATIONS.values():
        there = network(moved(noise.double(), quarter, mirror))
        assert (there - e * torch.tensor([sign1, sign2])).abs().max() <= 1e-12
    assert (e.abs().amax(dim=0) > 1e-3).all()


def test_orbit_holds_the_eight_distinct_operations() -> None:
    image = torch.arange(16.0).reshape(1, 4, 4)
    members = orbit(image)[0]
    assert members.shape == (8, 4, 4)
    assert len({tuple(m.flatten().tolist()) for m in members}) == 8
    assert torch.equal(members[0], image[0])
    # R turns anticlockwise with y upwards: what was on the +x axis comes to the +y axis.
    right = torch.zeros(1, 3, 3)
    right[0, 1, 2] = 1
    assert orbit(right)[0, 1, 2, 1] == 1


def test_round_galaxies_have_no_ellipticity() -> None:
    x = torch.from_numpy(coordinates(*SMALL.grid))
    blob = 100 * torch.exp(-(x**2 + x[:, None] ** 2) / 0.5)[None]
    assert random_network(SMALL, torch.float64)(blob).abs().max() < 1e-12


def test_gradients_are_correct() -> None:
    network = random_network(TINY, torch.float64)
    images = torch.randn(2, 8, 8, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert torch.autograd.gradcheck(network, (30 * images.requires_grad_(),), eps=1e-5, atol=1e-8, rtol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)], ids=["f32", "f64"])
@pytest.mark.parametrize("config", RESPONSES.values(), ids=RESPONSES)
def test_shapes_and_response_are_those_of_automatic_differentiation(resmoothed, config, dtype, tolerance) -> None:
    network = random_network(config, dtype)
    images = converted(Resmoothed(*(part[:8] for part in resmoothed(config))), dtype)
    table, expected = shapes_with_response(network, images), by_autograd(network, images)
    assert table.shape == (6, 8)
    assert table.dtype == dtype
    assert expected.abs().amax(dim=1).min() > 1e-3
    for rows in (slice(0, 2), slice(2, 6)):
        assert (table - expected)[rows].abs().max() <= tolerance * expected[rows].abs().max()


def test_response_is_the_derivative_along_the_response_of_the_pixels() -> None:
    # Equation 12 by brute force, for images and pixel responses without any symmetry or smoothness.
    network = random_network(SMALL, torch.float64)
    shape = (3, 5, SMALL.grid_points, SMALL.grid_points)
    images = Resmoothed(*5 * torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64))
    step = 1e-5
    with torch.no_grad():
        plus, minus = ([network(images.value + sign * step * d) for d in images[1:]] for sign in (1, -1))
    difference = [(a - b) / (2 * step) for a, b in zip(plus, minus, strict=True)]
    expected = torch.stack([difference[j][:, i] for i in range(2) for j in range(2)])
    torch.testing.assert_close(shapes_with_response(network, images)[2:], expected, rtol=1e-6, atol=1e-8)


def test_a_galaxy_gives_the_same_bits_whatever_stands_beside_it() -> None:
    network = random_network(SMALL)
    shape = (3, 21, SMALL.grid_points, SMALL.grid_points)
    images = Resmoothed(*5 * torch.randn(shape, generator=torch.Generator().manual_seed(5)))
    table = shapes_with_response(network, images)
    for start, stop in ((0, 1), (3, 14), (20, 21)):
        part = shapes_with_response(network, Resmoothed(*(plane[start:stop] for plane in images)))
        assert torch.equal(part, table[:, start:stop])


def test_response_of_a_network_in_training_carries_no_graph() -> None:
    images = Resmoothed(*torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(6)))
    before = images.value.clone()
    assert not shapes_with_response(D4CNN(TINY), images).requires_grad
    assert torch.equal(images.value, before)


def test_response_is_the_derivative_under_a_real_shear(resmoothed) -> None:
    # Oracle: the galaxies drawn again under shears of ±1e-3, through resmoothing and network.
    network = deepcopy(shipped_network()).double()
    step = 1e-3
    table = shapes_with_response(network, resmoothed(network.config))
    assert table.shape == (6, 50)
    R = table[2:].mean(dim=1).reshape(2, 2)
    with torch.no_grad():
        columns = []
        for shear in ((step, 0.0), (0.0, step)):
            plus, minus = (network(resmoothed(network.config, *(sign * g for g in shear)).value) for sign in (1, -1))
            columns.append((plus - minus) / (2 * step))
    difference = torch.stack(columns, dim=-1)
    torch.testing.assert_close(R.diagonal(), difference.mean(dim=0).diagonal(), rtol=1e-3, atol=0)
    # The mean of the other two almost vanishes, hence a tolerance in units of the diagonal; that of each galaxy does
    # not, and tells dg1 from dg2.
    size = R.diagonal().mean()
    torch.testing.assert_close(R, difference.mean(dim=0), rtol=0, atol=1e-3 * size.item())
    each = table[2:].T.reshape(50, 2, 2)
    assert each[:, 0, 1].std() > 0.02 * size
    assert each[:, 1, 0].std() > 0.02 * size
    torch.testing.assert_close(each, difference, rtol=0, atol=1e-3 * size.item())


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_an_empty_image_gives_zero_and_a_finite_response(config) -> None:
    empty = torch.zeros(3, config.grid_points, config.grid_points)
    table = shapes_with_response(random_network(config), Resmoothed(empty, empty + 1, empty - 1))
    assert torch.isfinite(table).all()
    assert torch.equal(table[:2], torch.zeros(2, 3))


def test_brightness_of_bright_galaxies_is_divided_out(resmoothed) -> None:
    network = random_network(SMALL, torch.float64)
    images = resmoothed(SMALL).value
    images = images / images.amax((-2, -1), keepdim=True)
    bright, brighter = network.normalise(images * 1e6), network.normalise(images * 1e7)
    assert (bright - brighter).abs().max() < 1e-8 * bright.abs().max()
    # And faint ones stay faint: below the softening the network sees the image in proportion to its flux.
    faint, fainter = network.normalise(images * 1e-6), network.normalise(images * 1e-7)
    torch.testing.assert_close(faint, 10 * fainter, rtol=1e-8, atol=0)


def test_every_parameter_is_trained(resmoothed) -> None:
    network = D4CNN(SMALL)
    network(resmoothed(SMALL).value[:4].float()).square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []


@pytest.mark.parametrize("config", [SMALL, PAPER, TINY], ids=["shipped", "paper", "tiny"])
def test_weights_and_card_rebuild_the_network(tmp_path: Path, config) -> None:
    network = random_network(config)
    path = tmp_path / "network.safetensors"
    save_weights(path, network.state_dict(), describe(config))
    rebuilt = cached_model(build_d4cnn, str(path), load_card(path)["sha256"], "cpu")
    assert rebuilt.config == config
    images = torch.randn(2, config.grid_points, config.grid_points, generator=torch.Generator().manual_seed(4))
    assert torch.equal(rebuilt(images), network(images))
    assert not any(p.requires_grad for p in rebuilt.parameters())
