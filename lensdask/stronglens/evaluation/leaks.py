"""Whether images give their class away: classifiers that know nothing of lenses.

Where they do well, the classes differ by something that no survey would offer, such as one smooth lens in all images
that weighs more with substructure than without.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from lensdask.errors import check_number
from lensdask.fourier import coordinates

__all__ = ["cut_predictions", "neighbour_predictions", "ring_radius"]

Float64 = npt.NDArray[np.float64]
Images = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.integer[Any]]

_ARC = 0.2
"""Brightness over that of the brightest pixel, above which a pixel belongs to the arcs."""


def neighbour_predictions(
    training: Images, labels: Labels, images: Images, *, components: int = 30, neighbours: int = 5
) -> npt.NDArray[np.int64]:
    """Return the class of most of the nearest training images, in the space of their principal components.

    Distances are those of the components over their standard deviation in the training images.

    Parameters
    ----------
    training
        Images of known class, shape (lens, y, x).
    labels
        Their classes, counted from 0, shape (lens,).
    images
        Images to classify, shape (other, y, x).
    components
        Principal components of the training images that distances are measured in.
    neighbours
        How many vote; of classes with as many votes the first wins.

    Returns
    -------
    ndarray
        Shape (other,).
    """
    check_number("components", components, least=1, most=len(training) - 1, whole=True)
    check_number("neighbours", neighbours, least=1, most=len(training), whole=True)
    known, others = (each.reshape(len(each), -1).astype(np.float64) for each in (training, images))
    mean = known.mean(axis=0)
    # Of fewer images than pixels: the products of the images have the same components as those of the pixels.
    values, vectors = np.linalg.eigh((known - mean) @ (known - mean).T)
    axes = (known - mean).T @ vectors[:, -components:] / np.maximum(values[-components:], 1e-300)
    tree = cKDTree((known - mean) @ axes)
    nearest = tree.query((others - mean) @ axes, k=np.arange(1, neighbours + 1))[1]
    votes = labels[nearest][:, :, None] == np.arange(labels.max() + 1)
    return np.asarray(votes.sum(axis=1).argmax(axis=1), dtype=np.int64)


def ring_radius(images: Images, pixel_scale: float) -> Float64:
    """Return the radius of the ring in images of lenses, arcsec.

    It is R of r = R + a cos φ + b sin φ + c cos 2φ + d sin 2φ, fitted to the pixels of the arcs, those of at least a
    fifth of the brightest one, each weighted by its light. A source off the axis of a round lens shifts its images by a
    and b, ellipticity and shear by c and d, and R stays the Einstein radius to first order.

    Parameters
    ----------
    images
        Shape (lens, y, x), square.
    pixel_scale
        Arcsec.
    """
    at = coordinates(images.shape[-1], pixel_scale)
    x, y = np.meshgrid(at, at)
    r, angle = np.hypot(x, y).ravel(), np.arctan2(y, x).ravel()
    terms = np.stack([np.ones_like(r), *(f(k * angle) for k in (1, 2) for f in (np.cos, np.sin))], axis=1)
    light = images.reshape(len(images), -1).astype(np.float64)
    weight = np.where(light > _ARC * light.max(axis=1, keepdims=True), light, 0.0)
    normal = np.einsum("np,pi,pj->nij", weight, terms, terms, optimize=True)
    # Arcs that are too short for all five numbers get the least of them.
    fit = np.linalg.pinv(normal, hermitian=True) @ ((weight * r) @ terms)[:, :, None]
    return np.asarray(fit[:, 0, 0])


def cut_predictions(training: Float64, is_member: npt.NDArray[np.bool_], values: Float64) -> npt.NDArray[np.bool_]:
    """Return whether values lie on the side of the best cut through those of training.

    Parameters
    ----------
    training
        Values of known lenses, shape (lens,).
    is_member
        Whether they are of the class, shape (lens,). The cut is where most of them are right, with members above it
        or below, whichever is better.
    values
        Of other lenses, shape (other,).
    """
    order = np.argsort(training, kind="stable")
    member = is_member[order]
    # Right with k values below the cut, and members above it.
    right = np.concatenate([[0], np.cumsum(~member)]) + member.sum() - np.concatenate([[0], np.cumsum(member)])
    above, below = int(right.argmax()), int(right.argmin())
    is_above = right[above] >= len(member) - right[below]
    number = above if is_above else below
    ends = np.concatenate([[-np.inf], training[order], [np.inf]])
    return np.asarray((values > ends[number : number + 2].mean()) == is_above)
