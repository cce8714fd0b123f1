"""The version of this lensdask: of a release, or of the commit that is checked out.

The build takes it from here too, so this file imports nothing of the package.
"""

import re
import subprocess
from functools import cache
from pathlib import Path

__all__ = ["code_version"]

NEXT = "0.2.0"
"""The release that the code becomes, where no tag tells."""

_ROOT = Path(__file__).parents[1]
"""A checkout, an unpacked archive, or where packages are installed."""

# The index is not touched: several processes may ask at once, in a checkout that cannot be written.
_DESCRIBE = ("git", "--no-optional-locks", "describe", "--tags", "--match=v[0-9]*", "--long", "--always", "--dirty")

_DESCRIPTION = re.compile(r"(?:v(?P<tag>.+)-(?P<since>\d+)-g)?(?P<commit>[0-9a-f]+)(?P<dirty>-dirty)?")


@cache
def code_version() -> str:
    """Return the version of the running code.

    A release has a number, such as ``0.2.0``. A checkout names the commit, such as ``0.2.0.dev0+g4fe21ab``, and says
    ``.dirty`` if files differ from it.
    """
    # Not what pip noted about an editable installation: that stays the commit of the day it was installed.
    described = _description(_ROOT) if (_ROOT / ".git").exists() else ""
    return version_of(described) if described else _installed_version(_ROOT)


def version_of(description: str) -> str:
    """Return the version that ``git describe`` stands for.

    Parameters
    ----------
    description
        ``TAG-COMMITS_SINCE-gCOMMIT``, or a commit alone where there is no tag; ``-dirty`` may follow.
    """
    found = _DESCRIPTION.fullmatch(description)
    if found is None:
        return f"{NEXT}.dev0"
    dirty = ".dirty" if found["dirty"] else ""
    if found["tag"] is None:
        return f"{NEXT}.dev0+g{found['commit']}{dirty}"
    if found["since"] == "0" and not dirty:
        return found["tag"]
    # What follows a release leads to the next one: pip must take it for the newer of the two.
    following = re.sub(r"\d+$", lambda last: str(int(last[0]) + 1), found["tag"])
    return f"{following}.dev{found['since']}+g{found['commit']}{dirty}"


def _description(root: Path) -> str:
    """Return what git says of the commit, nothing if it does not answer."""
    try:
        answer = subprocess.run(_DESCRIBE, cwd=root, capture_output=True, text=True, check=True, timeout=10)  # noqa: S603
        return answer.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _installed_version(root: Path) -> str:
    """Return the version that the installer noted beside the package; an archive without git has none."""
    # Only here, since a checkout can do without: it takes as long to import as all else of `lensdask --version`.
    import importlib.metadata

    beside = importlib.metadata.distributions(name="lensdask", path=[str(root)])
    return next((found.version for found in beside), f"{NEXT}.dev0")
