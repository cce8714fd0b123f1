"""Every notebook runs from top to bottom, at a tiny size."""

import json
import re
from importlib import resources
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from lensdask.data import load_card
from lensdask.massmap.method import SHIPPED_WEIGHTS

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


def measured(experiment, quantity, series):
    """Return a number of a committed result."""
    path = resources.files("lensdask.reproduce") / "results" / f"{experiment}.json"
    (value,) = [
        row["measured"]
        for row in json.loads(path.read_text())["rows"]
        if row["quantity"].startswith(quantity) and row["series"] == series and "x" not in row
    ]
    return value


def test_advice_on_mass_maps_has_the_numbers_of_cards_and_committed_results():
    notebook = nbformat.read(NOTEBOOKS[0].parent / "03_mass_maps.ipynb", as_version=4)
    (advice,) = [" ".join(cell.source.split()) for cell in notebook.cells if "- **Wiener** is the best" in cell.source]
    ratios = [load_card(path)["measured"]["rmse / wiener"] for path in SHIPPED_WEIGHTS.values()]
    networks, ks93 = ([ratio[kind]["value"] for ratio in ratios] for kind in ("network", "ks93"))
    height = ("miu2net.dynamic_range", "share of the height above 0.1, at the peak")
    power = ("miu2net.power", "largest |power ratio - 1| below l = 500")
    found, empty = ("cha.figure7", "completeness above"), ("cha.figure8", "highest of a map")
    for expected in (
        f"rmse is {100 * (min(ks93) - 1):.0f} % above that of Wiener",
        f"with 2.5 arcmin {measured(*height, 'KS93'):.0%} is left",
        f"leaves {measured(*height, 'Wiener'):.0%} of the height",
        f"lacks up to {measured(*power, 'Wiener'):.0%} of the power below l = 500",
        f"rmse is {100 * (1 - max(networks)):.0f} to {1 - min(networks):.0%} below that of Wiener",
        f"{measured(*height, 'Cha'):.0%} (Cha) or {measured(*height, 'MIU²Net'):.0%} (MIU²Net)",
        f"the power below l = 500 to {measured(*power, 'MIU²Net'):.0%}",
        f"completeness is {measured(*found, 'Cha'):.0%} (Cha) beside {measured(*found, 'Wiener'):.0%} (Wiener)",
        f"where chance gives {measured(*found, 'Cha, by chance'):.0%}",
        f"κ = {measured(*empty, 'Cha'):.3f} (Cha) beside {measured(*empty, 'Wiener'):.3f} (Wiener)",
    ):
        # Percentages are set with a space.
        text = re.sub(r"(\d)%", r"\1 %", expected)
        assert text in advice, text


def test_advice_on_dark_matter_has_the_numbers_of_committed_results():
    notebook = nbformat.read(NOTEBOOKS[0].parent / "06_dark_matter.ipynb", as_version=4)
    (advice,) = [" ".join(cell.source.split()) for cell in notebook.cells if "## So may I?" in cell.source]
    euclid, hst = (f"median S/N of substructure, {survey}" for survey in ("euclid", "hst"))

    def ratio(quantity, series):
        return f"{measured('enn.information', quantity, f'physical: {series}'):.2g}"

    for expected in (
        f"the median S/N on Euclid is {ratio(euclid, 'CDM as coded')},",
        f"S/N {ratio(euclid, 'vortex of 3e10')} on Euclid. One of a tenth of that,",
        f"of that, with {ratio(euclid, 'vortex of 3e9')}, no.",
        f"The median S/N is {ratio(euclid, 'CDM')} for one",
        f"the median to {ratio(hst, 'CDM')},",
    ):
        assert expected in advice, expected


def test_there_are_notebooks():
    assert NOTEBOOKS
