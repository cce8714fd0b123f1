"""What the datasets hold, how they are written and read, and the weights of networks."""

from lensdask.data.schemas import MASS_MAPS, SCHEMAS, SHAPES, SHEAR_MAPS, STAMPS, Schema, Variable
from lensdask.data.store import (
    common_attributes,
    configuration_hash,
    create,
    open,  # noqa: A004  users write lensdask.open
    remove,
    require_store,
    sweep_partial,
    write,
    write_chunk,
)
from lensdask.data.weights import file_sha256, load_card, load_into, load_weights, save_weights
from lensdask.version import code_version

__all__ = [
    "MASS_MAPS",
    "SCHEMAS",
    "SHAPES",
    "SHEAR_MAPS",
    "STAMPS",
    "Schema",
    "Variable",
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
