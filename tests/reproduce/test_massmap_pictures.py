"""What the rows of the mass-map experiments hold for their pictures, and what is drawn of it."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from lensdask.plots import massmap_experiments as plots
from lensdask.reproduce import EXPERIMENTS
from lensdask.reproduce.massmaps.fields import IMAGE_UNIT, curve, image
from lensdask.reproduce.massmaps.networks import METHODS


def test_images_in_rows_are_the_maps():
    rng = np.random.default_rng(1)
    kappa, mask = rng.normal(scale=0.05, size=(130, 130)), np.ones((130, 130))
    mask[:4] = 0
    made = image("truth", kappa, 0.5, mask)
    assert made["pixel_scale"] == 1.5
    shown = plots.pixels_of(made)
    assert shown.shape == (43, 43)
    assert np.isnan(shown[0]).all()
    np.testing.assert_allclose(shown[1], kappa[4:6, :129].reshape(2, 43, 3).mean(axis=(0, 2)), atol=IMAGE_UNIT / 1.9)
    np.testing.assert_allclose(shown[2:5, 2], kappa[6:15, 6:9].reshape(3, 9).mean(axis=1), atol=IMAGE_UNIT / 1.9)
    assert made["measured"] == pytest.approx(kappa[4:].std())


def test_lines_lie_on_the_pixels_of_the_image(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(plots, "plot_maps", lambda maps, _path, **settings: drawn.update(settings, maps=maps))
    # Averaged over 2 x 2 pixels of 0.5 arcmin, the pixels 0 and 1 of a row lie about the middle of the first.
    lines = {"H21": ["0.25,0.25 0.75,0.75 63.75,0.25"], "Cha": ["1.5,0.5 2.5,1.5", "9.5,9.5 8.5,8.5"]}
    rows = [image("truth", np.zeros((128, 128)), 0.5)]
    rows += [image(label, np.zeros((128, 128)), 0.5, arcs=arcs) for label, arcs in lines.items()]
    plots.plot_images({"rows": rows}, tmp_path / "a.png")
    assert {label: len(arcs) for label, arcs in drawn["arcs"].items()} == {"truth": 0, "H21": 1, "Cha": 2}
    np.testing.assert_allclose(drawn["arcs"]["H21"][0], [[-0.25, -0.25], [0.25, 0.25], [-0.25, 63.25]])
    np.testing.assert_allclose(drawn["arcs"]["Cha"][1], [[9, 9], [8, 8]])
    assert drawn["pixel_scale"] == 1.0


def test_chance_is_drawn_with_what_it_belongs_to(results, tmp_path, monkeypatch):
    figures, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, path, **more: (figures.append(self), save(self, path, **more)))
    plots.plot_found(results("cha.figure7")[0], tmp_path / "a.png")
    lines = {line.get_label(): line for line in figures[0].axes[0].lines}
    for label in METHODS:
        pair = lines[label], lines[f"{label}, by chance"]
        assert [line.get_linestyle() for line in pair] == ["-", "--"]
        assert pair[0].get_color() == pair[1].get_color()
    assert lines["published: KS93, 1e+14 Msun"].get_xydata()[0] == pytest.approx([1e14, 0.35])


def test_bands_end_at_the_lowest_value_of_a_logarithmic_axis(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(plots, "plot_pdf", lambda curves, _path: drawn.update(curves))
    # One map alone has the last value: the error is the value, but for rounding.
    values, errors = np.array([0.0, 2.0, 1e-3]), np.array([0.0, 0.5, 1e-3 - 1e-20])
    points = curve("density", "Cha", np.arange(3.0), values, errors, 7)
    points += curve("density", "truth", np.arange(3.0), np.array([0.0, 0.0, 3e-4]), np.full(3, 1e-4), 7)
    plots.plot_densities({"rows": points}, tmp_path / "a.png")
    np.testing.assert_array_equal(drawn["Cha"].y, [np.nan, 2.0, 1e-3])
    np.testing.assert_allclose(drawn["Cha"].low, [np.nan, 1.5, 3e-4])
    np.testing.assert_allclose(drawn["truth"].low, [np.nan, np.nan, 3e-4])
    np.testing.assert_allclose(drawn["truth"].high, [np.nan, np.nan, 4e-4])


def test_points_without_value_or_error_are_left_out():
    rows = curve(
        "q", "Cha", np.arange(3.0), np.array([1.0, np.nan, 2.0]), np.array([0.1, 0.1, np.nan]), 7, low=[0, 1, 2]
    )
    assert [(r["x"], r["measured"], r["error"], r["low"], r["n"]) for r in rows] == [(0.0, 1.0, 0.1, 0.0, 7)]


@pytest.mark.parametrize("name", ["cha.figure9", "cha.figure10", "miu2net.power"])
def test_pictures_are_drawn_from_the_rows_alone(name, results, tmp_path):
    result, directory = results(name)
    EXPERIMENTS[name].draw(result, tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes() == (directory / f"{name}.png").read_bytes()
