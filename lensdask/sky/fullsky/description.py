"""Which files are which simulation: a TOML file.

::

    format = "cosmogrid"          # cosmogrid, gower or table: shells; maps: full skies that are projected already
    order = "ring"                # of the pixels, the default; or nested
    content = "counts"            # of tables, the default: particles in each pixel; or contrast: their density contrast

    [[cosmology]]
    omega_m = 0.26
    sigma8 = 0.84
    w = -1.0                      # the default
    simulations = ["run_0000/compressed_shells.npz", "run_0001/compressed_shells.npz"]

Each cosmology has as many simulations, whose place in the list is the number of their seed. Paths begin at the file
itself. For ``format = "maps"`` a table says where the map of each field and bin is::

    [maps]                        # in a directory that simulations names, the name of a file: FITS or .npy;
    kappa = "kg/bin{bin}"         # in an HDF5 file, that of a data set
    kappa_ia = "ia/bin{bin}"
    delta = "dg/bin{bin}"

where {bin} is 1 to 4: lensing convergence, that of intrinsic alignment of amplitude 1, and density contrast of matter.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from lensdask.data.files import read_toml
from lensdask.errors import InputError, check_choice, check_number
from lensdask.sky.cosmology import Cosmology
from lensdask.sky.fullsky.healpix import Order
from lensdask.sky.tomography.cosmologies import HUBBLE, N_S, OMEGA_B

__all__ = ["FIELDS", "Description", "Source", "read_description"]

SkyFormat = Literal["cosmogrid", "gower", "table", "maps"]
Content = Literal["counts", "contrast"]

FIELDS = ("kappa", "kappa_ia", "delta")
"""Names of the maps of a bin."""

_KEYS = {"format", "order", "content", "maps", "cosmology"}


@dataclass(frozen=True)
class Source:
    """How simulations lie in files."""

    format: SkyFormat
    """Shells of one of three kinds, or projected maps."""
    order: Order
    """How their pixels are counted."""
    content: Content
    """What the pixels of a shell hold."""
    maps: tuple[str, ...]
    """Of projected maps: where those of each of `FIELDS` are."""


@dataclass(frozen=True)
class Description:
    """The simulations that a user has."""

    source: Source
    """How they lie in files."""
    cosmologies: tuple[Cosmology, ...]
    """Theirs. Of h, Ω_b and n_s maps do not depend, given shells: they are those of the tomographic cosmologies."""
    simulations: tuple[tuple[str, ...], ...]
    """Absolute paths, (cosmology, seed)."""


def read_description(path: str | Path) -> Description:
    """Return what a TOML file says of simulations; their files are not looked at.

    Raises
    ------
    InputError
        It cannot be read, or says something else than is asked for.
    """
    content = read_toml(path, "a TOML file that describes simulations")
    try:
        return _description(content, Path(path).resolve().parent)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _description(content: Mapping[str, Any], folder: Path) -> Description:
    _check_keys(content, _KEYS, {"format", "cosmology"}, "the file")
    form, order = content["format"], content.get("order", "ring")
    check_choice("format", form, get_args(SkyFormat))
    check_choice("order", order, get_args(Order))
    kind = content.get("content", "counts")
    check_choice("content", kind, get_args(Content))
    if form != "table" and "content" in content:
        raise InputError(f"content: {kind!r} of format {form!r}; expected it for tables alone")
    tables = content["cosmology"]
    if not (isinstance(tables, list) and tables and all(isinstance(one, Mapping) for one in tables)):
        raise InputError("cosmology: not a list of tables; expected [[cosmology]], once or more")
    read = [_cosmology(one, number, folder) for number, one in enumerate(tables, 1)]
    cosmologies, simulations = zip(*read, strict=True)
    _check_all(cosmologies, simulations)
    source = Source(form, order, kind, _patterns(content.get("maps"), form))
    return Description(source, cosmologies, simulations)


def _check_keys(table: Mapping[str, Any], known: set[str], required: set[str], what: str) -> None:
    for name in table:
        if name not in known:
            raise InputError(f"{what}: {name!r}; expected {', '.join(sorted(known))}")
    for name in sorted(required - set(table)):
        raise InputError(f"{what}: {name} is missing; expected {', '.join(sorted(required))}")


def _cosmology(table: Mapping[str, Any], number: int, folder: Path) -> tuple[Cosmology, tuple[str, ...]]:
    what, required = f"cosmology {number}", {"omega_m", "sigma8", "simulations"}
    _check_keys(table, required | {"w"}, required, what)
    for name, least, most in (("omega_m", 0.01, 1.0), ("sigma8", 0.01, 3.0), ("w", -3.0, -0.1)):
        check_number(f"{what}, {name}", table.get(name, -1.0), least=least, most=most)
    paths = table["simulations"]
    if not (isinstance(paths, list) and paths and all(isinstance(one, str) for one in paths)):
        raise InputError(f"{what}, simulations: {paths!r}; expected a list of paths")
    omega_m, sigma8, w = (float(table.get(name, -1.0)) for name in ("omega_m", "sigma8", "w"))
    cosmology = Cosmology(h=HUBBLE, omega_m=omega_m, omega_b=OMEGA_B, sigma8=sigma8, n_s=N_S, w=w)
    return cosmology, tuple(str(folder / one) for one in paths)


def _check_all(cosmologies: tuple[Cosmology, ...], simulations: tuple[tuple[str, ...], ...]) -> None:
    if len(set(cosmologies)) < len(cosmologies):
        raise InputError("cosmology: one stands in it twice; expected different ones, with all their simulations")
    for number, paths in enumerate(simulations, 1):
        if len(paths) != len(simulations[0]):
            raise InputError(f"cosmology {number}: {len(paths)} simulations; expected {len(simulations[0])}, as of 1")
    every = Counter(path for paths in simulations for path in paths)
    twice, count = every.most_common(1)[0]
    if count > 1:
        raise InputError(f"simulations: {twice} stands in it {count} times; expected different ones")


def _patterns(table: Any, form: str) -> tuple[str, ...]:
    if (table is not None) != (form == "maps"):
        raise InputError(f"maps: {table!r} of format {form!r}; expected a table for format 'maps' alone")
    if table is None:
        return ()
    if not isinstance(table, Mapping):
        raise InputError(f"maps: {table!r}; expected a table")
    _check_keys(table, set(FIELDS), set(FIELDS), "maps")
    for name in FIELDS:
        if not (isinstance(table[name], str) and table[name].count("{bin}") == 1):
            raise InputError(f"maps, {name}: {table[name]!r}; expected a name with {{bin}} in the place of its number")
    return tuple(table[name] for name in FIELDS)
