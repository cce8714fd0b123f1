"""The numbers that the D4CNN paper prints (Lin, Li et al. 2026), and no others: a claim in words is no number."""

from collections.abc import Mapping
from typing import Any

from lensdask.shear.calibration.estimate import BIAS_QUANTITIES
from lensdask.shear.results import PUBLISHED

__all__ = ["CUBIC", "MS_PER_GALAXY", "SHAPE_NOISE_RATIO", "TABLE2", "TABLE3", "TRAINING_SECONDS", "Published"]

Published = Mapping[str, tuple[float, float | None]]
"""Values by quantity, with their errors where the paper has them."""

CUBIC = {"A": -0.3, "B": 5e-4}
"""Residual A g³ - B g of the smooth equivariant network, "about", for both components (section 4)."""

MS_PER_GALAXY = 0.7
"""Measurement and calibration on an H100, input and output included (section 5)."""

SHAPE_NOISE_RATIO = 0.9
"""Shape noise of D4CNN over that of FPFS at LSST year-10 noise, "about 10 % lower"; of FPFS settings that the paper
does not name (section 3.2)."""

TRAINING_SECONDS = 600.0
"""Training on an H100, "about" (section 5)."""


def _as_published(m1: Any, m2: Any, c1: Any, c2: Any, noise: tuple[float, float]) -> Published:
    """Return a line of the paper's tables, m in 1e-3 and c in 1e-5, as values with errors."""
    pairs = [(v * unit, e * unit) for (v, e), unit in zip((m1, m2, c1, c2), (1e-3, 1e-3, 1e-5, 1e-5), strict=True)]
    return dict(zip(BIAS_QUANTITIES, [*pairs, (noise[0], None), (noise[1], None)], strict=True))


TABLE2: dict[str, Published] = {
    "d4cnn-fpfs": PUBLISHED,
    "d4cnn-relu": _as_published((-0.224, 0.320), (0.176, 0.326), (-0.37, 2.64), (1.66, 3.24), (0.271, 0.273)),
    "cnn": _as_published((-0.531, 0.295), (-1.388, 0.292), (6100.06, 3.59), (3700.44, 3.54), (0.277, 0.275)),
}
"""Biases and shape noise of the three networks at LSST year-10 noise (Table 2)."""

TABLE3: dict[int, Published] = {
    1_000: _as_published((-0.537, 0.377), (0.423, 0.353), (-1.20, 2.76), (1.50, 2.95), (0.277, 0.274)),
    5_000: _as_published((-0.472, 0.355), (0.310, 0.327), (4.84, 2.47), (1.99, 3.05), (0.274, 0.274)),
    10_000: PUBLISHED,
    20_000: _as_published((-0.021, 0.277), (0.052, 0.277), (0.03, 2.44), (1.19, 2.99), (0.271, 0.270)),
}
"""The same for networks trained on so many stamps (Table 3)."""
