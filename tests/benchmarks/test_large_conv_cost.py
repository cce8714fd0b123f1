"""Cost of a layer of Cha et al. 2025 by FFT, against torch's own convolution; CPU time of one thread, one run."""

import time
from collections.abc import Callable

import pytest
import torch
from machine import median_and_spread
from torch.nn.functional import conv2d, conv_transpose2d

from lensdask.training.large_conv import correlate, spread

pytestmark = pytest.mark.benchmark

CHANNELS, KERNEL, SIZE, REPEATS = 24, 49, 512, 3


def seconds(function: Callable[..., torch.Tensor], x: torch.Tensor, kernels: torch.Tensor) -> tuple[float, float]:
    """Return the seconds of a layer forward, and of its derivatives by maps and kernels."""
    x, kernels = x.clone().requires_grad_(), kernels.clone().requires_grad_()
    began = time.process_time()
    y = function(x, kernels)
    middle = time.process_time()
    y.backward(torch.ones_like(y))
    return middle - began, time.process_time() - middle


def test_layer_by_fft_is_ten_times_faster_than_directly(record) -> None:
    generator = torch.Generator().manual_seed(0)
    kernels = torch.randn(CHANNELS, CHANNELS, KERNEL, KERNEL, generator=generator) / KERNEL
    rows = []
    # The direct one takes minutes, which are as good a mean as repetitions would be.
    for name, ours, theirs, size in (
        ("convolution", correlate, conv2d, SIZE),
        ("transposed convolution", spread, conv_transpose2d, SIZE - KERNEL + 1),
    ):
        x = torch.randn(1, CHANNELS, size, size, generator=generator)
        seconds(ours, x, kernels)
        times = [seconds(ours, x, kernels) for _ in range(REPEATS)]
        fast = [median_and_spread(list(part)) for part in zip(*times, strict=True)]
        direct = seconds(theirs, x, kernels)
        rows.append(
            {
                "layer": name,
                "fft_s": fast,
                "direct_s": direct,
                "ratio": [slow / quick for slow, (quick, _) in zip(direct, fast, strict=True)],
            }
        )
    print(rows)
    record("large_conv", {"threads": torch.get_num_threads(), "rows": rows})
    assert min(ratio for row in rows for ratio in row["ratio"]) >= 10
