"""Which code computes: of each file that decides the results of a run, a checksum without comments and docstrings.

A store must not hold rows of two versions of the code. The commit would not tell: it changes with a word in the README,
and does not with an edit that is not committed. So what runs is compared by its code, file by file, and the version is
there for people. Whatever a module imports, anywhere in it, counts as code of the module, and nothing else of the
package: who mends a figure, a command or another pillar resumes a run.
"""

import ast
import hashlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from lensdask.errors import InputError
from lensdask.version import code_version

__all__ = ["Code", "changed_files", "code_files", "code_now", "refuse_changed_code"]

_PACKAGE = Path(__file__).parent

_NAMED = 3
"""Changed files that are named."""


@dataclass(frozen=True)
class Code:
    """The code of a module, as one process has it; small enough to travel with every task."""

    module: str
    """Full name of the module."""
    checksum: str
    """Of the code that it needs."""
    sources: str
    """Of all files of the package to the byte: where these agree, nothing need be parsed."""
    version: str
    """Version of lensdask, for people."""

    @classmethod
    def of(cls, module: str) -> Self:
        """Return the code of a module in this process."""
        return cls(module, _checksum(repr(code_files(module)).encode()), _sources(), code_version())

    def require(self) -> None:
        """Check that this process has this code too; each file is read once.

        Raises
        ------
        InputError
            It has another.
        """
        if self.sources == _sources():
            return
        here = Code.of(self.module)
        if here.checksum != self.checksum:
            raise InputError(
                f"a worker has other code, of lensdask {here.version} in {_PACKAGE}; expected that of the client, "
                f"{self.version}: start client and workers anew"
            )


def code_files(module: str) -> dict[str, str]:
    """Return the files of lensdask that a module needs, with the start of the sha256 of the code of each.

    They are read once per process.

    Parameters
    ----------
    module
        Full name of one that is loaded. Where it has no file, as in a notebook, all of lensdask counts.

    Returns
    -------
    dict
        By path from the folder of the package, such as ``lensdask/shear/shapes/fpfs.py``. Files in a folder ``tables``
        beside these modules count to the byte.
    """
    start = _file_of(module) or _file_outside(module)
    found = _needed(start) if start else frozenset(_PACKAGE.rglob("*.py"))
    tables = {table for path in found for table in path.parent.glob("tables/*")}
    hashes = {path: _read(path)[0] for path in found} | {path: _checksum(path.read_bytes()) for path in tables}
    return {_name(path): hashes[path] for path in sorted(hashes)}


def code_now(module: str) -> dict[str, Any]:
    """Return version and files of the code of a module, as `refuse_changed_code` compares them."""
    return {"version": code_version(), "files": code_files(module)}


def changed_files(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the files whose code differs, that are gone, or that are new."""
    return sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))


def refuse_changed_code(then: Mapping[str, Any], now: Mapping[str, Any], what: str, advice: str) -> None:
    """Refuse to continue what other code began.

    Parameters
    ----------
    then, now
        ``{"version": …, "files": {…}}``, with the files from `code_files`.
    what
        What is to be continued: a file, and what it is of.
    advice
        What to do instead.

    Raises
    ------
    InputError
        A file differs; the message names it.
    """
    changed = changed_files(then["files"], now["files"])
    if changed:
        more = f" and {len(changed) - _NAMED} more files" * (len(changed) > _NAMED)
        raise InputError(
            f"{what}: {', '.join(changed[:_NAMED])}{more} changed since the run began "
            f"(lensdask {then['version']} then, {now['version']} now); {advice}"
        )


def _name(path: Path) -> str:
    inside = path.is_relative_to(_PACKAGE)
    return path.relative_to(_PACKAGE.parent).as_posix() if inside else path.name


@cache
def _sources() -> str:
    """Return the checksum of all files of the package, to the byte."""
    return _checksum(b"".join(path.read_bytes() for path in sorted(_PACKAGE.rglob("*.py"))))


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


@cache
def _needed(start: Path) -> frozenset[Path]:
    found, left = set[Path](), {start}
    while left:
        path = left.pop()
        found.add(path)
        left |= _read(path)[1] - found
    return frozenset(found)


@cache
def _read(path: Path) -> tuple[str, frozenset[Path]]:
    """Return the checksum of the code of a file, and the files of lensdask that it imports."""
    tree = ast.parse(path.read_bytes(), str(path))
    imported = {file for name in _imports(tree) if (file := _file_of(name))}
    return _checksum("\n".join(_skeleton(tree)).encode()), frozenset(imported)


def _imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def _file_of(module: str) -> Path | None:
    """Return the file of a module of lensdask; the package itself names everything, and is left out."""
    top, *parts = module.split(".")
    if top != _PACKAGE.name or not parts:
        return None
    path = _PACKAGE.joinpath(*parts)
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def _file_outside(module: str) -> Path | None:
    """Return the file of somebody's own module."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return Path(file) if file else None


def _skeleton(node: Any) -> Iterator[str]:
    """Give what a syntax tree says: no comments, docstrings or layout, and the same for every version of Python."""
    if not isinstance(node, ast.AST):
        yield repr(node)
        return
    yield type(node).__name__
    for name in node._fields:
        value = getattr(node, name, None)
        # Later versions of Python have more fields, empty for what this one can say.
        if value is None or value == []:
            continue
        yield name
        for part in value if isinstance(value, list) else (value,):
            if not _is_docstring(part):
                yield from _skeleton(part)
    yield "."


def _is_docstring(node: Any) -> bool:
    """Return whether a statement is a text alone: that of a module, class or function, or below a constant."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
