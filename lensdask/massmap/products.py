"""What is made of shear maps: the convergence by any method, and the maps beside it.

Classical methods compute in double precision, one field at a time, networks in single precision, so many fields at a
time. Either way a field has the same maps to the bit whatever others are made with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from lensdask.arrays import Array, held_on, to_numpy
from lensdask.compute import cached_model, torch_settings
from lensdask.errors import InputError, check_number
from lensdask.maps.fields import ShearMaps, cross_shear, known_shear, validate_shear_maps
from lensdask.maps.symmetry import symmetrised
from lensdask.massmap.classical.aperture import aperture_mass
from lensdask.massmap.classical.ks93 import kaiser_squires
from lensdask.massmap.classical.ksplus import kaiser_squires_plus
from lensdask.massmap.classical.wiener_filter import wiener
from lensdask.massmap.method import Method
from lensdask.massmap.networks.architectures import build_network, network_maps
from lensdask.massmap.noise_maps import effective_density, noise_map
from lensdask.sky.power import convergence_power

__all__ = ["Products", "convergence_of", "reconstruct_maps"]

Maps = npt.NDArray[np.floating[Any]]

_PADDING = 1.5
"""Side of the area of a transform over that of the field: what leaves one edge does not come in at the other."""

_SOLVED = 1e-5
"""Residual of the normal equations above which a Wiener map is not one; 1e-6 is asked for."""

_MOST = 100_000
"""Realisations of the noise: then its error is 0.2 %."""

_BATCH = {"cpu": 1, "cuda": 8}
"""Fields in a call of a network; a guess for GPUs."""


@dataclass(frozen=True)
class Products:
    """Which maps are made beside the convergence."""

    b_mode: bool = False
    """``kappa_b``: the same method on shear turned by 45 degrees, where lensing leaves nothing but noise."""
    noise_realisations: int = 0
    """``significance``: the map over its noise, which is that of so many maps of randomly turned shear. 0 for no such
    map. The aperture mass knows its noise without turning any."""
    n_eff: bool = False
    """``n_eff``: effective number of galaxies per arcmin²."""

    def __post_init__(self) -> None:
        """Refuse what has no standard deviation."""
        check_number("noise_realisations", self.noise_realisations, least=0, most=_MOST, whole=True)
        if self.noise_realisations == 1:
            raise InputError("noise_realisations: 1; expected 0 for no map of significance, or at least 2")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of these maps in the schema ``mass_maps``."""
        wanted = {"kappa_b": self.b_mode, "significance": self.noise_realisations, "n_eff": self.n_eff}
        return tuple(name for name, is_wanted in wanted.items() if is_wanted)


def convergence_of(maps: ShearMaps, method: Method, *, pixel_scale: float, device: str = "cpu") -> Maps:
    """Return the map that a method makes of each field, without a look at whether it can.

    Parameters
    ----------
    maps
        Measured shear, NumPy arrays of shape (field, y, x).
    method
        Which method.
    pixel_scale
        Arcmin.
    device
        "cpu" or "cuda".

    Returns
    -------
    ndarray
        Convergence, or for ``aperture`` the aperture mass; shape (field, y, x).
    """
    function: Callable[[ShearMaps], Maps]
    if method.kind == "network":
        function = partial(_network_map, method=method, device=device)
    else:
        inverse = partial(_CLASSICAL[method.kind], method=method, pixel_scale=pixel_scale)
        function = partial(_field_by_field, inverse, device=device)
    return np.asarray(symmetrised(function, maps) if method.symmetrised else function(maps))


def _network_map(maps: ShearMaps, method: Method, device: str) -> Maps:
    network: Any = cached_model(build_network, method.weights, str(method.sha256), device)
    with torch_settings():
        return network_maps(network, known_shear(maps), device=device, batch=_BATCH[device])


def _field_by_field(inverse: Callable[[ShearMaps], Array], maps: ShearMaps, device: str) -> Maps:
    found = []
    for number in range(len(maps.g1)):
        one = (held_on(np.asarray(part[number : number + 1], dtype=np.float64), device) for part in maps)
        found.append(to_numpy(inverse(known_shear(ShearMaps(*one)))))
    return np.concatenate(found)


def _ks93(maps: ShearMaps, method: Method, pixel_scale: float) -> Array:
    settings: Any = {"pixel_scale": pixel_scale, "smoothing": method.scale, "padding": _PADDING}
    return kaiser_squires(maps.g1, maps.g2, weight=maps.weight, **settings)[0]


def _ksplus(maps: ShearMaps, method: Method, pixel_scale: float) -> Array:
    settings: Any = {"pixel_scale": pixel_scale, "smoothing": method.scale}
    # A pixel without a galaxy is a hole like any other.
    return kaiser_squires_plus(maps.g1, maps.g2, maps.weight, **settings)[0]


def _wiener(maps: ShearMaps, method: Method, pixel_scale: float) -> Array:
    power = convergence_power(str(method.source)).smoothed(float(method.resolution or 0.0))
    found = wiener(maps.g1, maps.g2, maps.weight, pixel_scale=pixel_scale, power=power, padding=_PADDING)
    residual = float(to_numpy(found.residual).max())
    if residual > _SOLVED:
        raise InputError(
            f"wiener: residual {residual:.1g} after {found.iterations} steps; "
            "the filter did not converge: the shear noise is too low for this prior; use ks93"
        )
    return found.kappa


def _aperture(maps: ShearMaps, method: Method, pixel_scale: float) -> Array:
    settings: Any = {"pixel_scale": pixel_scale, "radius": method.scale}
    return aperture_mass(maps.g1, maps.g2, maps.weight, **settings).mass_e


def _aperture_noise(maps: ShearMaps, method: Method, pixel_scale: float) -> Array:
    settings: Any = {"pixel_scale": pixel_scale, "radius": method.scale}
    return aperture_mass(maps.g1, maps.g2, maps.weight, **settings).noise


_CLASSICAL: dict[str, Callable[..., Array]] = {
    "ks93": _ks93,
    "ksplus": _ksplus,
    "wiener": _wiener,
    "aperture": _aperture,
}


def reconstruct_maps(
    maps: ShearMaps,
    method: Method,
    *,
    pixel_scale: float,
    products: Products | None = None,
    ids: npt.NDArray[np.int64] | None = None,
    sigma_e: float | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> dict[str, npt.NDArray[np.float32]]:
    """Return the mass maps of some fields.

    Parameters
    ----------
    maps
        Measured shear, NumPy arrays of shape (field, y, x).
    method
        Which method.
    pixel_scale
        Arcmin.
    products
        Which maps are made beside the convergence; none when not given.
    ids
        Ids of the fields, which key the random turns; 0, 1, ... when not given.
    sigma_e
        Dispersion of each component of the ellipticity, for ``n_eff``.
    seed
        Of the random turns.
    device
        "cpu" or "cuda".

    Returns
    -------
    dict
        ``kappa``, then `Products.names`; shape (field, y, x).

    Raises
    ------
    InputError
        The maps cannot be inverted (see `validate_shear_maps`), the fields are too small for the network, or ``n_eff``
        is wanted of shapes of unknown dispersion.
    """
    validate_shear_maps(maps, ids)
    products, made = products or Products(), partial(convergence_of, pixel_scale=pixel_scale, device=device)
    found: dict[str, Maps] = {"kappa": made(maps, method)}
    if products.b_mode:
        turned = dict(zip(("g1", "g2"), cross_shear(maps.g1, maps.g2), strict=True))
        found["kappa_b"] = made(maps._replace(**turned), method)
    if products.noise_realisations:
        numbers = np.arange(len(maps.g1)) if ids is None else ids
        noise = _noise(maps, method, numbers, pixel_scale, seed, products.noise_realisations, device)
        found["significance"] = np.divide(found["kappa"], noise, out=np.zeros(noise.shape), where=noise > 0)
    if products.n_eff:
        if sigma_e is None:
            raise InputError("n_eff: the shear maps have no sigma_e; expected the ellipticity dispersion per component")
        found["n_eff"] = effective_density(known_shear(maps).weight, sigma_e=sigma_e, pixel_scale=pixel_scale)
    return {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in found.items()}


def _noise(
    maps: ShearMaps,
    method: Method,
    ids: npt.NDArray[np.int64],
    pixel_scale: float,
    seed: int,
    realisations: int,
    device: str,
) -> Maps:
    """Return the standard deviation of the noise of a method's maps."""
    if method.kind == "aperture":
        return _field_by_field(partial(_aperture_noise, method=method, pixel_scale=pixel_scale), maps, device)
    made = partial(convergence_of, method=method, pixel_scale=pixel_scale, device=device)
    return np.asarray(noise_map(made, known_shear(maps), ids, seed=seed, realisations=realisations))
