"""Results of experiments as Markdown: what was measured beside what was published, and on what machine."""

from collections.abc import Iterable, Sequence
from typing import Any

from lensdask.compute import Row
from lensdask.compute.results import number

__all__ = ["markdown"]


def markdown(result: dict[str, Any]) -> str:
    """Return a result file as a section: claim, note, run, numbers, and the points of measured curves.

    Parameters
    ----------
    result
        Content of ``result.json``.
    """
    run, rows = result["run"], result["rows"]
    # Of the other pillars these are fields, tiles or mosaics, as the note says.
    what = "galaxies" if result["experiment"].startswith("d4cnn.") else "objects"
    session = " (last session of a resumed run)" if run["resumed"] else ""
    lines = [
        f"## {result['experiment']}: {result['what']}",
        f"{result['source']}: {result['claim']}.",
        result["note"],
        f"Size {result['size']}, seed {result['seed']}, {run['objects']:,} {what} in {run['wall_s']:.0f} s{session} "
        f"on {run['device']}, {run['date']}.",
        _numbers([r for r in rows if "x" not in r]),
        # Points without an error are one galaxy each: there are many, and the picture shows them.
        *_curves([r for r in rows if "x" in r and r["error"] is not None]),
    ]
    return "\n\n".join(line for line in lines if line) + "\n"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    cells = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def _numbers(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    lines = []
    for r in rows:
        unit = "" if r["unit"] == "1" else f" ({r['unit']})"
        lines.append(
            (
                r.get("series", ""),
                r["quantity"].replace("|", "\\|") + unit,
                number(r["measured"], r["error"]),
                number(r["published"], r["published_error"]),
                "yes" if r["comparable"] else "no",
                _objects(r),
            )
        )
    return _table(("", "quantity", "measured", "published", "comparable", "N"), lines)


def _curves(rows: Sequence[Row]) -> list[str]:
    """Return a table for each series: a line per point, a column per quantity."""
    tables = []
    for series in dict.fromkeys(r["series"] for r in rows):
        chosen = [r for r in rows if r["series"] == series]
        quantities = list(dict.fromkeys(_general(r) for r in chosen))
        lines = []
        for x in dict.fromkeys(r["x"] for r in chosen):
            at = {_general(r): r for r in chosen if r["x"] == x}
            cells = [number(at[q]["measured"], at[q]["error"]) if q in at else "–" for q in quantities]
            lines.append([f"{x:g}", *cells, _objects(next(iter(at.values())))])
        tables.append(_table((series, *quantities, "N"), lines))
    return tables


def _objects(r: Row) -> str:
    """Return the number of objects of a row."""
    return f"{r['n']:,}" if "n" in r else "–"


def _general(r: Row) -> str:
    """Return the name of a quantity without the place on the curve."""
    return str(r["quantity"]).partition(" at ")[0]
