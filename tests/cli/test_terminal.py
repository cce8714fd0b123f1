"""What commands print is legible in a terminal of 80 columns."""

from pathlib import Path

import pytest

from lensdask.cli.terminal import print_evaluation, print_store
from lensdask.compute import RunResult

STATISTICS = ("rmse", "total_slope", "total_slope smoothed")


def row(series, quantity, measured, error):
    return {"series": series, "quantity": quantity, "measured": measured, "error": error}


def evaluation(methods, size=64):
    """Return a result of that many methods, each value and error of which is another."""
    rows = [
        row(method, quantity, (number + 1) / 100, (place + 1) * 1e-5)
        for number, method in enumerate(methods)
        for place, quantity in enumerate(STATISTICS)
    ]
    ratios = [row(method, f"rmse / {methods[0]}", 0.95, None) for method in methods[1:]]
    return {"size": size, "smoothing": 1.0, "rows": rows + ratios}


@pytest.mark.parametrize("count", [1, 2, 6])
def test_evaluation_of_any_number_of_methods_fits(monkeypatch, capsys, count):
    monkeypatch.setenv("COLUMNS", "80")
    methods = ["wiener", "ks93:2.5 symmetrised", "cha", "h21", "miu2net", "cosmos"][:count]
    print_evaluation(evaluation(methods))
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    for number, method in enumerate(methods):
        for place in range(len(STATISTICS)):
            cells = [method, f"{(number + 1) / 100:+.2e} ± {(place + 1) * 1e-5:.1e}"]
            assert any(all(cell in line for cell in cells) for line in shown.splitlines()), cells
    assert shown.count("slope by total least squares") == 2
    assert "total_slope" not in shown
    assert ("rmse / wiener: the other stores over the first" in shown) == (count > 1)


def test_a_long_name_is_folded_and_numbers_are_whole(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    name = "a_network_of_mine_with_[brackets]_and_every_setting_of_its_training_in_the_name"
    print_evaluation(evaluation(["wiener", name]))
    shown = capsys.readouterr().out
    assert "+2.00e-02 ± 1.0e-05" in shown
    assert "…" not in shown
    lines = [line.split("│") for line in shown.splitlines() if "│" in line]
    assert name in "".join(cells[2].strip() for cells in lines)


@pytest.mark.parametrize(
    ("count", "unit", "expected"),
    [(1, "fields", "1 field in"), (2, "fields", "2 fields in"), (1, "galaxies", "1 galaxy in")],
)
def test_counts_of_one(capsys, count, unit, expected):
    result = RunResult([], (), 0, 2.0, count, "cpu", 1, 2.0)
    print_store(Path("maps.zarr"), result, unit)
    assert f"maps.zarr: {expected}" in capsys.readouterr().out
    print_evaluation(evaluation(["wiener"], size=1))
    assert "1 field;" in capsys.readouterr().out
