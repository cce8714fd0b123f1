"""Checksums of plain JSON: of configurations, and of the metadata of stores, which are sealed when they are whole.

The metadata of a store are one ``zarr.json`` of the group and one for each array. Their checksums are an attribute of
the group, so that no bit of them, and no array, can be lost without notice. Chunks carry checksums of their own.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from lensdask.errors import InputError
from lensdask.places import Place
from lensdask.remote import RemotePath

__all__ = ["SEAL", "check_seal", "configuration_hash", "is_checked", "seal"]

SEAL = "metadata_sha256"
"""Attribute of the group: the checksum of each array's metadata by its name, and without a name that of the group's."""

_FILE = "zarr.json"


def configuration_hash(config: Mapping[str, Any]) -> str:
    """Return the sha256 of a configuration, independent of the order of its keys.

    Raises
    ------
    InputError
        A value is not plain JSON (text, number, true, false, null, list, mapping), or not finite.
    """
    try:
        text = json.dumps(config, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"configuration: {error}; expected finite plain JSON values") from error
    return hashlib.sha256(text.encode()).hexdigest()


def seal(path: Place) -> None:
    """Write the checksums of the metadata of a store into the store: the last that is done to its metadata."""
    group = _parsed(path / _FILE, (path / _FILE).read_bytes())
    group["attributes"].pop(SEAL, None)
    group["attributes"][SEAL] = {name: configuration_hash(one) for name, one in _documents(path, group).items()}
    (path / _FILE).write_text(json.dumps(group, indent=2))


def check_seal(path: Place) -> None:
    """Check the metadata of a store against their checksums; a store of an older lensdask has none.

    Raises
    ------
    InputError
        Metadata were changed, are missing or no JSON; the message names the file.
    """
    if not (path / _FILE).is_file():
        if _contents(path):
            raise InputError(f"{path / _FILE} is missing; {_EXPECTED}")
        return
    group = _parsed(path / _FILE, (path / _FILE).read_bytes())
    attributes = group.get("attributes")
    sealed = attributes.pop(SEAL, None) if isinstance(attributes, dict) else None
    found = _documents(path, group)
    if not isinstance(sealed, dict):
        if any(is_checked(one.get("codecs")) for one in found.values()):
            raise InputError(f"{path / _FILE} is damaged: the checksums of the metadata are missing; {_EXPECTED}")
        return
    for name, wanted in sealed.items():
        file = path / name / _FILE
        if name not in found:
            raise InputError(f"{file} is missing; {_EXPECTED}")
        if configuration_hash(found[name]) != wanted:
            raise InputError(f"{file} is damaged or was changed: its checksum differs; {_EXPECTED}")


_EXPECTED = "expected the metadata of a store as lensdask wrote them"


def is_checked(codecs: object) -> bool:
    """Return whether arrays with such codecs, as their metadata list them, have a checksum in each chunk."""
    if not isinstance(codecs, Sequence) or not codecs or not isinstance(codecs[-1], Mapping):
        return False
    last = codecs[-1]
    if last.get("name") == "sharding_indexed":
        return is_checked(last.get("configuration", {}).get("codecs"))
    return bool(last.get("name") == "crc32c")


def _documents(path: Place, group: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the metadata of a store: those of each array by its name, and without a name those of the group."""
    return {"": group} | {name: _parsed(path / name / _FILE, text) for name, text in sorted(_contents(path).items())}


def _contents(path: Place) -> dict[str, bytes]:
    """Return what is in the files of the metadata of arrays, by the names of these."""
    if isinstance(path, RemotePath):
        return path.read_each(_FILE)
    return {file.parent.name: file.read_bytes() for file in path.glob(f"*/{_FILE}") if file.is_file()}


def _parsed(file: Place, text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is damaged: it is no JSON; {_EXPECTED}") from error
    if not isinstance(found, dict):
        raise InputError(f"{file} is damaged: it is no JSON object; {_EXPECTED}")
    return found
