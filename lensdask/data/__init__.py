"""What the datasets hold, how they are written and read, and the weights of networks."""

from lensdask.data.checksums import configuration_hash
from lensdask.data.files import check_unchanged, file_sha256
from lensdask.data.groups import remove, require_store, sweep_partial
from lensdask.data.schema import Attribute, Schema, Variable
from lensdask.data.schemas import (
    LENS_FITS,
    LENS_PREDICTIONS,
    LENSES,
    LSS_CHAINS,
    LSS_SPECTRA,
    LSS_SUMMARIES,
    LSS_TILES,
    MASS_MAPS,
    SCHEMAS,
    SHAPES,
    SHEAR_MAPS,
    STAMPS,
)
from lensdask.data.store import (
    common_attributes,
    create,
    open,  # noqa: A004  users write lensdask.open
    write,
    write_chunk,
)
from lensdask.data.weights import load_card, load_into, load_weights, save_weights
from lensdask.version import code_version

__all__ = [
    "LENSES",
    "LENS_FITS",
    "LENS_PREDICTIONS",
    "LSS_CHAINS",
    "LSS_SPECTRA",
    "LSS_SUMMARIES",
    "LSS_TILES",
    "MASS_MAPS",
    "SCHEMAS",
    "SHAPES",
    "SHEAR_MAPS",
    "STAMPS",
    "Attribute",
    "Schema",
    "Variable",
    "check_unchanged",
    "code_version",
    "common_attributes",
    "configuration_hash",
    "create",
    "file_sha256",
    "load_card",
    "load_into",
    "load_weights",
    "open",
    "remove",
    "require_store",
    "save_weights",
    "sweep_partial",
    "write",
    "write_chunk",
]
