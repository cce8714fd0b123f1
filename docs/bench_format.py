"""Tables, numbers and lines about machines, as the page of benchmarks has them."""

from collections.abc import Iterable
from typing import Any

BUSY = 0.2
"""Cores that others may keep busy; above that the page says so."""


def table(header: list[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_error(value: float, error: float, digits: int = 2) -> str:
    """Return a value with its spread as a cell."""
    return f"{value:,.{digits}f} ± {error:.{digits}f}"


def about(part: dict[str, Any]) -> str:
    """Return the line that says on what a part was measured, and when it was not alone there."""
    m = part["machine"]
    gpu = m["GPU"] or "no GPU"
    shown = [name for name in ("python", "torch", "cuda", "numpy", "dask") if m["versions"].get(name)]
    shown += [name for name in m["versions"] if name.startswith("cupy")]
    versions = ", ".join(f"{name} {m['versions'][name]}" for name in shown)
    line = f"{m['date']}, {m['cores']} cores of {m['processor']}, {gpu}; {versions}."
    if part["busy_cores"] > BUSY:
        line += f" **Others kept {part['busy_cores']} cores busy meanwhile.**"
    return line
