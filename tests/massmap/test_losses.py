import math

import numpy as np
import pytest
import torch

from lensdask.conventions import ARCMIN
from lensdask.errors import InputError
from lensdask.massmap.networks.losses import PIXEL_WEIGHT, RING_WEIGHT, cha_loss, miu2net_loss, ring_powers
from lensdask.stats import ring_power

PIXEL = 0.82
LOSSES = {"cha": cha_loss(), "h21": cha_loss(1), "miu2net": miu2net_loss(PIXEL)}


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.02 * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def discs(fields: int, size: int) -> torch.Tensor:
    """Return a mask with a hole that differs from field to field."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    return torch.stack([((x - 10 - 3 * i) ** 2 + (y - 20) ** 2 > 60).double() for i in range(fields)])


@pytest.mark.parametrize("exponent", [1.0, 6.0])
def test_cha_loss_pixel_by_pixel(exponent) -> None:
    kappa, found, mask = drawn(3, 40, 40), drawn(3, 1, 40, 40, seed=1), discs(3, 40)
    expected = []
    for true, map_, inside in zip(kappa.numpy(), found[:, 0].numpy(), mask.numpy() > 0, strict=True):
        largest = max(true[inside])
        pixels = zip(true[inside], map_[inside], strict=True)
        expected.append(sum((1 + abs(k) / largest) ** exponent * (f - k) ** 2 for k, f in pixels))
    assert math.isclose(cha_loss(exponent)(found, kappa, mask), np.mean(expected), rel_tol=1e-10)


def test_cha_loss_is_of_the_size_of_the_paper_s() -> None:
    # Residuals of 0.02 on 512 x 512 pixels that weigh little: the figures of Cha et al. are 200 to 210.
    kappa = torch.zeros(1, 512, 512)
    kappa[0, 5, 5] = 0.3
    found = cha_loss()(kappa[:, None] + 0.02, kappa, torch.ones_like(kappa))
    assert math.isclose(found, 512**2 * 0.02**2, rel_tol=1e-3)


def test_field_without_mass() -> None:
    empty, ones = torch.zeros(2, 8, 8), torch.ones(2, 8, 8)
    assert math.isclose(cha_loss()(0.1 * ones[:, None], empty, ones), 64 * 0.01, rel_tol=1e-6)
    assert math.isclose(cha_loss()(0.1 * ones[:, None], -0.1 * ones, ones), 64 * 0.04, rel_tol=1e-6)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_truth_has_no_loss_and_masked_pixels_do_not_count(loss) -> None:
    kappa, mask = drawn(2, 64, 64), discs(2, 64)
    perfect = torch.stack([kappa, kappa, kappa], dim=1)
    assert loss(perfect, kappa, mask) == 0
    elsewhere = perfect + 0.5 * (1 - mask[:, None])
    assert loss(elsewhere, kappa, mask) == 0
    assert loss(elsewhere, kappa, torch.ones_like(mask)) > 0
    # The footprint as a dataset holds it.
    wrong = perfect + 0.01
    assert torch.equal(loss(wrong, kappa, mask.to(torch.int8)), loss(wrong, kappa, mask))


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_losses_have_gradients_where_pixels_count(loss) -> None:
    kappa, mask, outputs = drawn(1, 64, 64), discs(1, 64), drawn(1, 2, 64, 64, seed=1).requires_grad_()
    loss(outputs, kappa, mask).backward()
    gradient = outputs.grad[0, 0]
    assert torch.isfinite(gradient).all()
    assert (gradient[mask[0] == 0] == 0).all()
    assert (gradient[mask[0] == 1] != 0).all()


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_loss_of_fields_is_their_mean(loss) -> None:
    kappa, mask, outputs = drawn(3, 64, 64), discs(3, 64), drawn(3, 2, 64, 64, seed=1)
    each = [loss(outputs[i : i + 1], kappa[i : i + 1], mask[i : i + 1]) for i in range(3)]
    assert torch.allclose(loss(outputs, kappa, mask), torch.stack(each).mean())


def test_pixel_term_of_miu2net_is_the_published_huber_loss_of_every_output() -> None:
    kappa, outputs, ones = drawn(2, 64, 64), drawn(2, 7, 64, 64, seed=1), torch.ones(2, 64, 64)
    huber = torch.nn.HuberLoss(delta=50.0)
    expected = sum(huber(outputs[:, i], kappa) * PIXEL_WEIGHT for i in range(7))
    assert torch.allclose(miu2net_loss(PIXEL, ring_weight=0)(outputs, kappa, ones), expected)


def test_ring_term_of_miu2net() -> None:
    kappa, outputs, mask = drawn(2, 64, 64), drawn(2, 3, 64, 64, seed=1), discs(2, 64)
    with_rings, without = (miu2net_loss(PIXEL, ring_weight=w)(outputs, kappa, mask) for w in (2.0, 0.0))
    edges = 2 * np.pi / (64 * PIXEL * ARCMIN) * (np.arange(1, 9) - 1e-9)
    found, true = (
        ring_power(np.asarray(maps), PIXEL, edges)[1] for maps in (outputs * mask[:, None], (kappa * mask)[:, None])
    )
    expected = 2 * RING_WEIGHT * np.abs(found - true).mean(axis=-1).sum(axis=1).mean()
    assert math.isclose(with_rings - without, expected, rel_tol=1e-9)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (63, 65), (48, 64)])
def test_rings_are_true_means(height, width) -> None:
    maps = drawn(2, height, width)
    fundamental = 2 * np.pi / (max(height, width) * PIXEL * ARCMIN)
    powers = ring_powers(maps, PIXEL, 8 * fundamental)
    _, expected = ring_power(maps.numpy(), PIXEL, fundamental * (np.arange(1, 9) - 1e-7))
    assert powers.shape == (2, 7)
    np.testing.assert_allclose(powers, expected, rtol=1e-9)


def test_a_wave_is_in_its_ring_and_rings_do_not_depend_on_the_pixel() -> None:
    x = torch.arange(128, dtype=torch.float64)
    wave = torch.cos(2 * math.pi * 5 * x / 128).expand(1, 128, 128)
    powers = ring_powers(wave, PIXEL)[0]
    assert powers.shape == (15,)
    assert powers.argmax() == 4
    assert powers.sum() - powers[4] < 1e-12 * powers[4]
    coarse = wave.unflatten(1, (64, 2)).unflatten(3, (64, 2)).mean((2, 4))
    # The mean of two pixels weakens the wave by a known factor.
    weaker = math.cos(math.pi * 5 / 128) ** 2
    assert torch.allclose(ring_powers(coarse, 2 * PIXEL)[0, 4], weaker * powers[4], rtol=1e-9)


def test_field_too_small_for_rings_is_refused() -> None:
    with pytest.raises(InputError, match="field of 8 x 8 pixels: no ring of modes"):
        ring_powers(torch.zeros(1, 8, 8), PIXEL)
