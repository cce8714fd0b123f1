"""Skies full of galaxies, rendered into images under shear: they overlap, and their places are sheared too."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lensdask.conventions import stamp_origin
from lensdask.errors import check_number
from lensdask.random import Stream, generator
from lensdask.shear.simulation.catsim import CatSim, MockCatSim, galaxies
from lensdask.shear.simulation.observation import Observation
from lensdask.shear.simulation.render import render_stamps, shear_matrices

__all__ = ["Scene", "draw_scene"]

Float64 = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]

_AT_ONCE = 1024
"""Galaxies rendered together, under all shears."""

_APART = 6.0
"""Arcsec between discs."""

_MOST = 2**20
"""Galaxies of a scene at most; the ids of the next one begin there."""


@dataclass(frozen=True)
class Scene:
    """A patch of sky."""

    side: int
    """Pixels on a side of its image."""
    density: float
    """Galaxies per square arcmin, at random places."""
    observation: Observation
    """PSF, pixels and noise; ``size`` is the side of the square around a galaxy in which its light is drawn."""
    group: float = 0.0
    """Radius, arcsec, of discs of such a sky on a lattice, each sheared about its own middle: so a disc stays on the
    same noise, which hides what shear does far less. 0 for one sky all over, sheared about the middle of the image."""
    isolated: bool = False
    """One galaxy in each of such discs instead."""

    def __post_init__(self) -> None:
        """Refuse what is no patch."""
        check_number("side", self.side, least=self.observation.size, whole=True)
        check_number("density", self.density, above=0)
        check_number("group", self.group, least=0)

    def places(self, seed: int, number: int) -> tuple[Float64, Float64]:
        """Return the middles about which galaxies are sheared, and where they are from there before the shear.

        Returns
        -------
        middle, place
            (x, y) in arcsec from the middle of the image, and from there, shape (galaxy, 2) each.
        """
        scale, random = self.observation.pixel_scale, generator(seed, Stream.COUNTS, number)
        if self.group == 0:
            # From beyond the edges light falls into the image, and shear moves galaxies in.
            width = (self.side + 2 * self.observation.size) * scale
            place = random.uniform(-width / 2, width / 2, (random.poisson(self.density * (width / 60) ** 2), 2))
            return np.zeros_like(place), place
        pitch = 2 * self.group + _APART
        # None so near to an edge that a stamp around it reaches beyond.
        count = max(1, int((self.side - self.observation.size - 2 / scale) * scale // pitch))
        along = (np.arange(count) - (count - 1) / 2) * pitch
        lattice = np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)
        # Discs are anywhere on pixels.
        lattice += random.uniform(-0.5, 0.5, lattice.shape) * scale
        mean = self.density * np.pi * (self.group / 60) ** 2
        numbers = np.ones(len(lattice), int) if self.isolated else random.poisson(mean, len(lattice))
        middle, total = np.repeat(lattice, numbers, axis=0), int(numbers.sum())
        radius, angle = self.group * np.sqrt(random.random(total)), random.uniform(0, 2 * np.pi, total)
        place = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        return middle, place * (not self.isolated)


def draw_scene(scene: Scene, shears: Float64, number: int, *, source: MockCatSim | CatSim, seed: int) -> Float32:
    """Return images of a scene under shears, all with the same noise.

    Parameters
    ----------
    scene
        What it is like.
    shears
        Reduced shears, shape (shear, 2).
    number
        Which of such scenes, from 0.
    source
        Galaxies.
    seed
        Of all scenes.

    Returns
    -------
    Float32
        Shape (shear, side, side), flux at zero point 30 per pixel.
    """
    observation, (middle, places) = scene.observation, scene.places(seed, number)
    size, scale = observation.size, observation.pixel_scale
    # On a frame wide enough for the squares of all galaxies.
    frame = scene.side + 4 * size
    images = np.zeros((len(shears), frame, frame), np.float32)
    moved = middle[:, None] + np.einsum("sij,gj->gsi", shear_matrices(shears), places)
    pixels = moved / scale + stamp_origin(frame)
    corner = np.rint(pixels - stamp_origin(size)).astype(int)
    offset = (pixels - stamp_origin(size) - corner) * scale
    ids = number * _MOST + np.arange(len(places), dtype=np.int64)
    for start in range(0, len(ids), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        rows = galaxies(source, seed, ids[part])
        stamps = render_stamps(rows, 2 * ids[part], observation, seed, shears, offset=offset[part])
        for corners, drawn in zip(corner[part], np.asarray(stamps), strict=True):
            for image, (x, y), stamp in zip(images, corners, drawn, strict=True):
                image[y : y + size, x : x + size] += stamp
    inside = slice(2 * size, 2 * size + scene.side)
    noise = generator(seed, Stream.NOISE, number).standard_normal((scene.side, scene.side), np.float32)
    return images[:, inside, inside] + np.float32(observation.noise_sigma) * noise
