"""The page on the COSMOS field, from the result file of ``cosmos.py``."""

from typing import Any

from lensdask.compute import Row

NOTE = """S/N is the map over the standard deviation of maps of the shear with every pixel turned at random, which have
no mass in them; errors are the scatter of these maps. Groups "with a peak" have one of S/N 2.5 or more within 2'; they
are held against the same count in the turned maps, and against what the peaks of the map itself, most of them real,
would give to groups placed anywhere. "All groups" are those at 0.2 < z < 0.9 on the footprint. In the table of groups
"–" is one without a peak within 2', and "off" one without that lies off the footprint, where no galaxies are. Maps of
networks are not linear in the shear, so their S/N does not count Gaussian standard deviations: compare it with rotated
shear. The aperture mass has a radius of 12' because the core of its filter, 0.15 of the radius, must be two pixels wide
to be sampled: with the usual 5' it is less than one. A p-value is (1 + turned maps that reach as much) / (1 + all):
"<" says that none does."""


def page(result: dict[str, Any]) -> str:
    """Return a result as Markdown: a column for each method."""
    labels = list(result["group_peaks"])
    known = sum(bool(group["on_footprint"]) for group in result["groups"])
    ten, those = "ten most massive groups with", f"ten most massive groups ({known} of the ten on the footprint) with"
    cells = {
        (r.get("series"), r["quantity"].replace(ten, those)): _cell(r, result["rotations"]) for r in result["rows"]
    }
    quantities = list(dict.fromkeys(name for series, name in cells if series))
    lines = ["# The COSMOS field, measured by `docs/cosmos.py`", "", f"{result['size']}.", "", NOTE, ""]
    lines += [f"- {name}: {cell}" for (series, name), cell in cells.items() if series is None]
    lines += ["", *_table(["", *labels], [[q, *(cells[label, q] for label in labels)] for q in quantities])]
    head = ["group", "z", "M500 [1e13 Msun]", *(f"S/N of the peak within 2', {label}" for label in labels)]
    peaks = [result["group_peaks"][label] for label in labels]
    body = [
        [f"{g['number']:.0f}", f"{g['redshift']:.2f}", f"{g['mass']:.1f}"]
        + [_peak(column[i], g["on_footprint"]) for column in peaks]
        for i, g in enumerate(result["groups"])
    ]
    return "\n".join([*lines, "", *_table(head, body), ""])


def _peak(height: float | None, on_footprint: bool) -> str:
    if height is None:
        return "–" if on_footprint else "off"
    return f"{height:.1f}"


def _cell(one: Row, rotations: int) -> str:
    value = one["measured"]
    if "p-value" in one["quantity"] and value < 1 / rotations:
        return f"< {1 / rotations:.2g}"
    return (f"{value:,.0f}" if value >= 1e4 else f"{value:.3g}") + (
        "" if one["error"] is None else f" ± {one['error']:.2g}"
    )


def _table(head: list[str], body: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *body)]
