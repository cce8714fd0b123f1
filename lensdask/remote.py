"""Folders behind URLs, such as those of object stores: what stores need of them, by fsspec, with errors of one line."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any, cast

from lensdask.errors import InputError

__all__ = ["RemotePath", "options_of", "reached"]


@dataclass(frozen=True)
class RemotePath:
    """A file or folder behind a URL, with those methods of `pathlib.Path` that stores need.

    Credentials and addresses of servers are those of the environment, as the file system of the scheme reads them
    (``AWS_ENDPOINT_URL``, ``~/.aws``, ``~/.config/fsspec``), here and on each worker.
    """

    url: str
    """Without a slash at its end."""

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> "RemotePath":
        return RemotePath(f"{self.url}/{name}") if name else self

    @property
    def name(self) -> str:
        """The last part."""
        return self.url.rpartition("/")[2]

    @property
    def parent(self) -> "RemotePath":
        """All but the last part."""
        return RemotePath(self.url.rpartition("/")[0])

    def exists(self) -> bool:
        """Return whether a file or a folder is there."""
        return self._kind() is not None

    def is_file(self) -> bool:
        """Return whether a file is there."""
        return self._kind() == "file"

    def _kind(self) -> str | None:
        """Return what is there; the like of ``exists`` of some file systems takes any error for nothing."""
        try:
            return str(self._ask("info")["type"])
        except FileNotFoundError:
            return None

    def version(self) -> str:
        """Return what changes when the file is replaced: of its size, its time and its checksum what is known."""
        return str(self._ask("ukey"))

    def read_bytes(self) -> bytes:
        """Return the content of the file."""
        return bytes(self._ask("cat_file"))

    def read_each(self, name: str) -> dict[str, bytes]:
        """Return the content of the files of a name in folders of this one, by those, fetched at once."""
        try:
            folders = [one["name"] for one in self._ask("ls", detail=True) if one["type"] == "directory"]
        except FileNotFoundError:
            return {}
        names = [folder.rstrip("/").rpartition("/")[2] for folder in folders]
        if not names:
            return {}
        paths = [(self / folder / name)._path for folder in names]
        found = self._ask("cat", on_error="return", path=paths)
        contents = {folder: found[path] for folder, path in zip(names, paths, strict=True)}
        for folder, content in contents.items():
            if isinstance(content, Exception) and not isinstance(content, FileNotFoundError):
                raise _told((self / folder / name).url, content) from content
        return {folder: content for folder, content in contents.items() if isinstance(content, bytes)}

    def write_text(self, text: str) -> None:
        """Write the file, whole or not at all."""
        self._ask("pipe_file", text.encode())

    def open(self, mode: str) -> IO[bytes]:
        """Open the file; no more is fetched than what is read."""
        return cast("IO[bytes]", self._ask("open", mode, cache_type="none"))

    def rename(self, target: "RemotePath") -> None:
        """Move a folder to a place that is free: files that lie in it directly last, as a store is one by those."""
        direct, deeper = self._files()
        for files in (deeper, direct):
            self._ask("copy", [target._path + file.removeprefix(self._path) for file in files], path=files)
        self.delete()

    def delete(self) -> None:
        """Remove a folder: files that lie in it directly first, so that what is left of a store is none."""
        for files in self._files():
            if files:
                self._ask("rm", path=files)

    def _files(self) -> tuple[list[str], list[str]]:
        """Return the files of a folder: those that lie in it directly, and those in folders of it."""
        found, start = list(self._ask("find")), len(self._path) + 1
        return [file for file in found if "/" not in file[start:]], [file for file in found if "/" in file[start:]]

    @property
    def _system(self) -> Any:
        return _connected(self.url.partition(":")[0], os.getpid())

    @property
    def _path(self) -> str:
        """The path as the file system has it."""
        return str(self._system._strip_protocol(self.url))

    def _ask(self, method: str, *arguments: Any, path: str | list[str] | None = None, **options: Any) -> Any:
        """Call a method of the file system with this path, or with others in it."""
        try:
            return getattr(self._system, method)(self._path if path is None else path, *arguments, **options)
        except FileNotFoundError:
            raise
        except Exception as error:
            # It may have kept that there were no credentials; the user may find some.
            _connected.cache_clear()
            raise _told(self.url, error) from error


def options_of(url: str) -> dict[str, Any]:
    """Return the options of the file system of a URL, beside those that the user has configured."""
    from fsspec.config import conf

    # A listing that is kept hides what others write.
    options: dict[str, Any] = {"use_listings_cache": False}
    if url.startswith(("s3:", "s3a:")):
        # Runs try a chunk several times; more attempts at each request than two look like a hang.
        options["config_kwargs"] = {"retries": {"max_attempts": 1}} | conf.get("s3", {}).get("config_kwargs", {})
    return options


@lru_cache(maxsize=16)
def _connected(scheme: str, _process: int) -> Any:
    """Return a file system: one for all threads of a process, where fsspec has one for each."""
    import fsspec

    return fsspec.filesystem(scheme, skip_instance_cache=True, **options_of(f"{scheme}:"))


@contextmanager
def reached(place: object) -> Iterator[None]:
    """Tell in one line what goes wrong in a ``with`` block with a `RemotePath`; nothing else is touched.

    Raises
    ------
    InputError
        Nothing is there, it may not be read or written, or no file system has such URLs.
    ConnectionError
        Its server does not answer.
    OSError
        Any other error.
    """
    try:
        yield
    except Exception as error:
        if isinstance(place, RemotePath) and _is_of_system(error) and not _is_told(error, place.url):
            raise _told(place.url, error) from error
        raise


def _is_of_system(error: Exception) -> bool:
    # Those of Zarr and of this package are about what is there, not about the way to it.
    home = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError) if home == "builtins" else home not in ("lensdask", "xarray", "zarr")


def _is_told(error: Exception, url: str) -> bool:
    return type(error) in (ConnectionError, OSError) and url in str(error)


_UNREACHED = re.compile("Connect|Timeout|HTTPClient")
"""In names of errors, which those who do not have the package cannot import."""

_LONGEST = 300
"""Characters of the reason in a message."""


def _told(url: str, error: Exception) -> Exception:
    """Return an error of a file system as one of one line."""
    reason = " ".join(str(error).split())[:_LONGEST] or type(error).__name__
    kinds = " ".join(kind.__name__ for kind in type(error).__mro__)
    if isinstance(error, ImportError):
        wanted = "pip install 'lensdask[s3]'" if url.startswith("s3") else "the package of its file system"
        return InputError(f"{url}: {reason}; expected {wanted}")
    if isinstance(error, FileNotFoundError):
        reason = reason if "bucket" in reason else "nothing is there"
        return InputError(f"{url}: {reason}; expected a place that exists")
    if isinstance(error, PermissionError) or "Credential" in kinds:
        return InputError(f"{url}: {reason}; expected credentials with which it can be read and written")
    if _UNREACHED.search(kinds):
        return ConnectionError(f"{url}: its server does not answer ({reason})")
    if isinstance(error, OSError):
        return OSError(error.errno, reason, url)
    return InputError(f"{url}: {reason}; expected a place that can be read and written")
