"""Operations, bytes and peak memory against numbers known by hand."""

import subprocess
import sys

import pytest
import torch
from operations import count
from processes import peak_memory

from lensdask.shear.shapes.d4cnn import D4CNN, D4CNNConfig


def test_a_convolution_by_hand():
    x, weight = torch.ones(2, 3, 10, 10), torch.ones(5, 3, 3, 3)
    found = count(lambda: torch.nn.functional.conv2d(x, weight, padding=1))
    assert found.flops == 2 * (2 * 5 * 10 * 10) * (3 * 3 * 3)
    assert found.bytes == 4 * (2 * 3 * 100 + 5 * 3 * 9 + 2 * 5 * 100)


def test_complex_products_transforms_and_elements_by_hand():
    a, b = torch.ones(4, 6, dtype=torch.complex64), torch.ones(6, 7, dtype=torch.complex64)
    assert count(lambda: a @ b).flops == 8 * 4 * 6 * 7
    image = torch.ones(3, 16, 16)
    assert count(lambda: torch.fft.rfft2(image)).flops == 2.5 * 3 * 256 * 8
    assert count(lambda: torch.tanh(image)).flops == image.numel()


def test_views_cost_nothing_and_expanded_memory_is_read_once():
    x, column = torch.ones(8, 1000), torch.ones(8, 1)
    assert count(lambda: x.T[:, 2:]).bytes == 0
    assert count(lambda: x + column.expand(8, 1000)).bytes == 4 * (8000 + 8 + 8000)


def test_a_network_is_its_convolutions_and_little_else():
    config = D4CNNConfig(channels=(8, 8), strides=(1, 1), grid_points=16)
    network, images = D4CNN(config), torch.ones(2, 16, 16)
    products = 2 * (2 * 8 * 16 * 16) * 9 * (1 * 8 + 8 * 8)
    assert 1 < count(lambda: network(images)).flops / products < 1.15


def test_peak_memory_remembers_what_was_freed():
    program = "x = bytearray(300_000_000); del x; print('freed', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1) as child:
        assert child.stdout.readline() == b"freed\n"
        peak = peak_memory(child.pid)
        child.communicate(b"\n")
    assert peak == pytest.approx(310e6, rel=0.05)
