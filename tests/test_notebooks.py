"""Every notebook runs from top to bottom, at a tiny size."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
TINY = {"N": "16", "GIGABYTES": "0.004"}


def shrink(notebook) -> None:
    """Set the sizes, each of which has a line in the first code cell: N in every notebook, others in some."""
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert re.search(r"^N = \d", first.source, flags=re.MULTILINE), "no line 'N = …' in the first code cell"
    for name, size in TINY.items():
        first.source = re.sub(rf"^{name} = [\d.]+", f"{name} = {size}", first.source, flags=re.MULTILINE)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
# Jupyter and ZeroMQ warn about their own event loops and sockets.
@pytest.mark.filterwarnings("default")
def test_notebook_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    shrink(notebook)
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_has_no_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


def test_there_are_notebooks():
    assert NOTEBOOKS
