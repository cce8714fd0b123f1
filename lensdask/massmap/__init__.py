"""Mass maps: the convergence of a field from the shear of its galaxies."""

from typing import TYPE_CHECKING

from lensdask.lazy import lazy_names

if TYPE_CHECKING:
    from lensdask.compute import RunOptions
    from lensdask.data.tables import read_shear_catalogue
    from lensdask.maps.fields import ShearMaps, cross_shear, shear_dataset, shear_maps, validate_shear_maps
    from lensdask.maps.mock import Survey, mock_catalogue, observe
    from lensdask.maps.pixelisation import bin_catalogue
    from lensdask.maps.statistics.peak_list import list_peaks
    from lensdask.maps.statistics.peaks import find_peaks
    from lensdask.maps.tangent import sky_position, tangent_plane
    from lensdask.maps.tiling import tile_catalogue
    from lensdask.massmap.classical.aperture import ApertureMass, aperture_mass
    from lensdask.massmap.classical.ks93 import kaiser_squires
    from lensdask.massmap.classical.ksplus import kaiser_squires_plus
    from lensdask.massmap.classical.wiener_filter import WienerMap, wiener
    from lensdask.massmap.conditions import ConditionsWarning
    from lensdask.massmap.evaluation import evaluate
    from lensdask.massmap.method import Method, find_method, methods
    from lensdask.massmap.networks.recipe import read_recipe
    from lensdask.massmap.networks.training import train
    from lensdask.massmap.noise_maps import effective_density, random_rotation, significance
    from lensdask.massmap.products import Products, reconstruct_maps
    from lensdask.massmap.reconstruction import reconstruct
    from lensdask.massmap.runs import reconstruct_run, simulate_run
    from lensdask.massmap.signs import check_signs
else:
    __getattr__, __dir__ = lazy_names(__name__, {"NoiseModel": "Survey"})

__all__ = [
    "ApertureMass",
    "ConditionsWarning",
    "Method",
    "Products",
    "RunOptions",
    "ShearMaps",
    "Survey",
    "WienerMap",
    "aperture_mass",
    "bin_catalogue",
    "check_signs",
    "cross_shear",
    "effective_density",
    "evaluate",
    "find_method",
    "find_peaks",
    "kaiser_squires",
    "kaiser_squires_plus",
    "list_peaks",
    "methods",
    "mock_catalogue",
    "observe",
    "random_rotation",
    "read_recipe",
    "read_shear_catalogue",
    "reconstruct",
    "reconstruct_maps",
    "reconstruct_run",
    "shear_dataset",
    "shear_maps",
    "significance",
    "simulate_run",
    "sky_position",
    "tangent_plane",
    "tile_catalogue",
    "train",
    "validate_shear_maps",
    "wiener",
]
