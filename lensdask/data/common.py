"""What all datasets say of themselves."""

from lensdask.data.schema import Attribute

__all__ = ["COMMON"]

COMMON = {
    "schema": Attribute("text", "1", "name of the schema"),
    "schema_version": Attribute("whole number", "1", "version of the schema"),
    "code_version": Attribute("text", "1", "version of the lensdask that made the dataset"),
    "configuration_hash": Attribute("text", "1", "sha256 of what decides the content"),
}
"""Attributes of every dataset."""
