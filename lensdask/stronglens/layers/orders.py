"""Layers of Harmonic Networks (Worrall et al. 2017): complex features of orders 0 and 1.

When the image turns by θ, features of order m turn with it and are multiplied by e^{imθ}, for every θ. A filter
R(r) e^{i(kφ + β)} takes features of order m to order m + k: its R, one number per ring, and β are learned (their
equation 5). From an image, which is real and of order 0, and from orders 0 and 1 to orders 0 and 1, k is -1, 0 or 1.

Features are (sample, channel, part, y, x), with four parts: real and imaginary part of order 0, then of order 1. On
pixels quarter turns are exact, others approximate.
"""

import torch
from torch import Tensor, nn

from lensdask.stronglens.layers.circular_harmonics import Harmonic, ring_profiles, sampled

__all__ = ["MagnitudeNorm", "OrderConv", "magnitudes"]

_SMALL = 1e-4
"""Added to the square of a magnitude, whose root has no derivative at 0. Where a feature is far smaller, of an empty
part of an image, its phase is one of rounding, and must not be brought to the size of the others."""


class OrderConv(nn.Module):
    """Convolution to orders 0 and 1, of orders 0 and 1 or of an image.

    Parameters
    ----------
    before, after
        Channels before and after; each holds both orders.
    kernel
        Pixels on a side of the filters, odd.
    lifting
        Whether the input is an image, shape (sample, map, y, x).
    """

    basis: Tensor
    shift: Tensor

    def __init__(self, before: int, after: int, kernel: int, *, lifting: bool = False) -> None:
        super().__init__()
        self.kernel, self.lifting, self.after = kernel, lifting, after
        self.register_buffer("basis", _complex_rings(kernel).to(torch.get_default_dtype()), persistent=False)
        orders = torch.arange(1 if lifting else 2)
        # k = order after less order before, -1, 0 or 1, is at index k + 1 of the basis.
        self.register_buffer("shift", torch.arange(2)[:, None] - orders[None, :] + 1, persistent=False)
        shape = (after, before, 2, len(orders))
        rings = self.basis.shape[1]
        # Half of the variance of He et al. 2015: two orders are added in each.
        deviation = (1 / (before * len(orders) * rings)) ** 0.5
        self.radial = nn.Parameter(torch.randn(*shape, rings) * deviation)
        self.phase = nn.Parameter(torch.rand(*shape) * 2 * torch.pi)

    def filters(self) -> Tensor:
        """Return the filters of a real convolution, shape (after, part, before, part, y, x)."""
        with torch.autocast(self.radial.device.type, enabled=False):
            # In double precision: rounded once, a filter and the same turned by 90 degrees have the same numbers.
            rings = self.basis[self.shift].double()
            plain = torch.einsum("abmnr,mnrcyx->abmncyx", self.radial.double(), rings)
            phase = self.phase[..., None, None].double()
            cosine, sine = phase.cos(), phase.sin()
            real, imaginary = plain.unbind(4)
            both = cosine * real - sine * imaginary, sine * real + cosine * imaginary
            turned = [part.to(self.radial.dtype) for part in both]
        # (a + ib)(x + iy): the real part takes a x - b y, the imaginary one b x + a y. Of an image there is no y.
        columns = [torch.stack(turned, 3)]
        if not self.lifting:
            columns.append(torch.stack((-turned[1], turned[0]), 3))
        # (after, before, order, part, order, part of it, y, x)
        whole = torch.stack(columns, 5)
        return whole.permute(0, 2, 3, 1, 4, 5, 6, 7).flatten(4, 5).flatten(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return features, shape (sample, channel, 4, y, x), of as many pixels as the input."""
        maps = x if self.lifting else x.flatten(1, 2)
        filters = self.filters().flatten(2, 3).flatten(0, 1)
        found = nn.functional.conv2d(maps, filters, padding=self.kernel // 2)
        return torch.unflatten(found, 1, (self.after, 4))


class MagnitudeNorm(nn.Module):
    """Batch normalisation of magnitudes, then ReLU on them, which leave the phases (section 4.3 of Worrall et al.).

    Parameters
    ----------
    channels
        Channels; each has two magnitudes.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2 * channels)
        # Magnitudes are positive: about a mean of 1 most remain so.
        nn.init.ones_(self.norm.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return features of the same shape."""
        size = magnitudes(features)
        wanted = nn.functional.relu(self.norm(size.flatten(1, 2))).view_as(size)
        return (torch.unflatten(features, 2, (2, 2)) * (wanted / size)[:, :, :, None]).flatten(2, 3)


def magnitudes(features: Tensor) -> Tensor:
    """Return the magnitudes of both orders, shape (sample, channel, order, y, x), which turn with the image."""
    real, imaginary = torch.unflatten(features, 2, (2, 2)).unbind(3)
    return (real.square() + imaginary.square() + _SMALL).sqrt()


def _complex_rings(kernel: int) -> Tensor:
    """Return rings times e^{ikφ} for k = -1, 0, 1, shape (k, ring, part, y, x), float64."""
    rings = range(ring_profiles(kernel).shape[1])
    plain, cosine, sine = (
        sampled(tuple(Harmonic(ring, order, at) for ring in rings), kernel)
        for order, at in ((0, False), (1, False), (1, True))
    )
    # The parts of a complex function share its norm.
    waves = [torch.stack(part, 1) / 2**0.5 for part in ((cosine, -sine), (cosine, sine))]
    return torch.stack([waves[0], torch.stack((plain, torch.zeros_like(plain)), 1), waves[1]])
