"""Mass maps: the convergence of a field from the shear of its galaxies."""

from lensdask.compute import RunOptions
from lensdask.massmap.aperture import ApertureMass, aperture_mass
from lensdask.massmap.catalogue import bin_catalogue
from lensdask.massmap.conditions import ConditionsWarning
from lensdask.massmap.evaluation import evaluate
from lensdask.massmap.fields import ShearMaps, cross_shear, shear_dataset, shear_maps, validate_shear_maps
from lensdask.massmap.inpainting import kaiser_squires_plus
from lensdask.massmap.kaiser_squires import kaiser_squires
from lensdask.massmap.methods import Method, find_method
from lensdask.massmap.mock import NoiseModel, mock_catalogue, observe
from lensdask.massmap.peak_list import list_peaks
from lensdask.massmap.products import Products, reconstruct_maps
from lensdask.massmap.reconstruction import reconstruct
from lensdask.massmap.runs import reconstruct_run, simulate_run
from lensdask.massmap.significance import effective_density, random_rotation, significance
from lensdask.massmap.tables import read_shear_catalogue
from lensdask.massmap.tangent import sky_position, tangent_plane
from lensdask.massmap.tiling import tile_catalogue
from lensdask.massmap.wiener import WienerMap, wiener

__all__ = [
    "ApertureMass",
    "ConditionsWarning",
    "Method",
    "NoiseModel",
    "Products",
    "RunOptions",
    "ShearMaps",
    "WienerMap",
    "aperture_mass",
    "bin_catalogue",
    "cross_shear",
    "effective_density",
    "evaluate",
    "find_method",
    "kaiser_squires",
    "kaiser_squires_plus",
    "list_peaks",
    "mock_catalogue",
    "observe",
    "random_rotation",
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
    "validate_shear_maps",
    "wiener",
]
