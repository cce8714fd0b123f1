"""Pose predictors: how far an image is transformed, read off its canonical coordinates (Tai et al. 2019, section 3.3).

In canonical coordinates the transformation is a shift. A convolutional network gives a score for each place along the
coordinate, and the mean place, weighted by their softmax, shifts as the image does: the predicted parameter is
equivariant.
"""

import torch
from torch import Tensor, nn

from lensdask.stronglens.layers.canonical import CHARTS, projective, resampled

__all__ = ["PosePredictor", "PoseSequence"]

_KERNEL = 5


class PosePredictor(nn.Module):
    """Predicts the parameter of one transformation.

    Parameters
    ----------
    name
        Of the transformation, in `lensdask.stronglens.layers.canonical.CHARTS`.
    maps
        Maps of the image.
    channels
        Feature maps.
    size
        Points of the canonical grid along each coordinate, a multiple of 4.
    """

    grid: Tensor

    def __init__(self, name: str, maps: int, channels: int, size: int) -> None:
        super().__init__()
        self.chart = CHARTS[name]
        self.register_buffer("grid", self.chart.grid(size).to(torch.get_default_dtype()), persistent=False)
        self.features = nn.Sequential(
            nn.Conv2d(maps, channels, _KERNEL, stride=2, padding=_KERNEL // 2, bias=False),
            nn.BatchNorm2d(channels),
            nn.LeakyReLU(0.1),
            nn.Conv2d(channels, channels, _KERNEL, stride=2, padding=_KERNEL // 2, bias=False),
            nn.BatchNorm2d(channels),
            nn.LeakyReLU(0.1),
        )
        self.score = nn.Conv1d(channels, 1, _KERNEL, padding=_KERNEL // 2, bias=False)
        self.bias = nn.Parameter(torch.zeros(()))
        # Equal scores everywhere: training starts from images as they are.
        nn.init.zeros_(self.score.weight)

    def forward(self, images: Tensor, before: Tensor) -> Tensor:
        """Return the transformation of images that were transformed by others before, shape (sample, 3, 3).

        Parameters
        ----------
        images
            Shape (sample, map, y, x).
        before
            Those, shape (sample, 3, 3).
        """
        features = self.features(resampled(images, projective(self.grid, before)))
        scores = self.score(features.amax(2 if self.chart.along == "u" else 3))[:, 0]
        places = torch.arange(scores.shape[1], dtype=scores.dtype, device=scores.device)
        places = (2 * places + 1) / scores.shape[1] - 1
        theta = (scores.softmax(1) @ places + torch.tanh(self.bias)) * self.chart.half_range
        elements = self.chart.matrix(theta, torch.ones_like(theta), torch.zeros_like(theta))
        return torch.unflatten(torch.stack(elements, 1), 1, (3, 3))


class PoseSequence(nn.Module):
    """Pose predictors one after another, each on images that those before have undone.

    Parameters
    ----------
    names
        Transformations in order.
    maps, channels, size
        As for `PosePredictor`.
    """

    def __init__(self, names: tuple[str, ...], maps: int, channels: int, size: int) -> None:
        super().__init__()
        self.predictors = nn.ModuleList(PosePredictor(name, maps, channels, size) for name in names)

    def forward(self, images: Tensor) -> Tensor:
        """Return the composed transformation of images (sample, map, y, x), shape (sample, 3, 3)."""
        whole = torch.eye(3, dtype=images.dtype, device=images.device).expand(len(images), 3, 3)
        for predictor in self.predictors:
            whole = whole @ predictor(images, whole)
        return whole
