"""Maps that mass maps and large-scale structure share: fields, pixels, the sky, surveys."""

from typing import TYPE_CHECKING

from lensdask.lazy import lazy_names

if TYPE_CHECKING:
    from lensdask.maps.fields import ShearMaps, cross_shear, shear_dataset, shear_maps, validate_shear_maps
    from lensdask.maps.footprints import read_footprint
    from lensdask.maps.mock import Survey, mock_catalogue, observe
    from lensdask.maps.pixelisation import bin_catalogue
    from lensdask.maps.statistics.distributions import correlation_functions, pdf
    from lensdask.maps.statistics.filaments import find_filaments, persistence_pairs
    from lensdask.maps.statistics.metrics import smoothed
    from lensdask.maps.statistics.peak_list import list_peaks
    from lensdask.maps.statistics.peaks import Peaks, find_peaks, match_peaks
    from lensdask.maps.statistics.profiles import azimuthal_profile, fit_halo, radial_profile
    from lensdask.maps.tangent import sky_position, tangent_plane
    from lensdask.maps.tiling import tile_catalogue
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "Peaks",
    "ShearMaps",
    "Survey",
    "azimuthal_profile",
    "bin_catalogue",
    "correlation_functions",
    "cross_shear",
    "find_filaments",
    "find_peaks",
    "fit_halo",
    "list_peaks",
    "match_peaks",
    "mock_catalogue",
    "observe",
    "pdf",
    "persistence_pairs",
    "radial_profile",
    "read_footprint",
    "shear_dataset",
    "shear_maps",
    "sky_position",
    "smoothed",
    "tangent_plane",
    "tile_catalogue",
    "validate_shear_maps",
]
