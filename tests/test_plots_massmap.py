"""Pictures of mass maps: what is drawn where, and that a file appears."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from lensdask.plots.massmap import (
    Curve,
    plot_completeness,
    plot_correlation,
    plot_curves,
    plot_maps,
    plot_pdf,
    plot_pixels,
    plot_power,
)


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """Return a function that calls a plot and gives the figure that it saved."""
    saved = []
    save = Figure.savefig

    def watched(figure, path, **settings):
        saved.append(figure)
        save(figure, path, **settings)

    monkeypatch.setattr(Figure, "savefig", watched)

    def call(plot, *arguments, **settings):
        path = tmp_path / "picture.png"
        plot(*arguments, path, **settings)
        assert path.read_bytes().startswith(b"\x89PNG")
        return saved.pop()

    return call


def panels(figure):
    return [axes for axes in figure.axes if axes.get_visible() and axes.get_label() != "<colorbar>"]


def field(seed=0, shape=(20, 30)):
    return np.random.default_rng(seed).normal(scale=0.02, size=shape)


def test_maps_share_one_scale_and_marks_lie_on_their_pixels(drawn):
    maps = {f"map {i}": field(i) for i in range(5)}
    mask = np.ones((20, 30))
    mask[:5] = 0
    arcs = {f"map {i}": [np.array([[3, 4], [4, 5], [5, 5 + i]])] for i in range(4)}
    figure = drawn(
        plot_maps,
        maps,
        pixel_scale=0.5,
        mask=mask,
        places={"peaks": (np.array([10.0]), np.array([20.0])), "X-ray": (np.array([2.0]), np.array([3.0]))},
        arcs=arcs,
    )
    shown = panels(figure)
    assert [axes.get_title() for axes in shown] == list(maps)
    assert len({image.get_clim() for axes in shown for image in axes.images}) == 1
    for axes, one in zip(shown, maps.values(), strict=True):
        (image,) = axes.images
        assert image.get_extent() == [-0.25, 14.75, -0.25, 9.75]
        np.testing.assert_array_equal(image.get_array().filled(np.nan), np.where(mask, one, np.nan))
        *lines, peaks, xray = axes.lines
        # Each map has its own lines; the last has none.
        for line, arc in zip(lines, arcs.get(axes.get_title(), []), strict=True):
            np.testing.assert_array_equal(line.get_xydata(), arc[:, ::-1] * 0.5)
        np.testing.assert_array_equal(peaks.get_xydata(), [[10, 5]])
        np.testing.assert_array_equal(xray.get_xydata(), [[1.5, 1]])
        # A mark near the edge does not widen the panel.
        assert axes.axis() == (-0.25, 14.75, -0.25, 9.75)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["peaks", "X-ray"]


def test_limits_of_maps(drawn):
    figure = drawn(plot_maps, {"one": field()}, pixel_scale=0.4, limits=(-0.1, 0.2))
    assert panels(figure)[0].images[0].get_clim() == (-0.1, 0.2)
    assert not figure.legends


def test_pixels_are_counted_and_the_slope_goes_through_their_mean(drawn):
    truth = field(1)
    maps = {"wiener": 0.5 * truth + 0.01, "ks93": field(2)}
    figure = drawn(plot_pixels, truth, maps, slopes={"wiener": 0.5})
    first, second = panels(figure)
    assert (len(first.lines), len(second.lines)) == (2, 1)
    x, y = first.lines[1].get_data()
    np.testing.assert_allclose(y, 0.5 * x + 0.01)
    assert np.ma.sum(first.collections[0].get_array()) == truth.size


def curve(level, width=0.1):
    x = np.geomspace(1, 100, 9)
    return Curve(x, np.full(9, level), np.full(9, level - width), np.full(9, level + width))


def test_curves_have_bands_and_the_truth_is_black(drawn):
    curves = {"wiener": curve(2.0), "truth": Curve(np.arange(50.0), np.ones(50)), "ks93": curve(3.0)}
    figure = drawn(
        plot_curves, curves, xlabel="x", ylabel="y", level=1.0, points={"published": (5.0, 0.5)}, xscale="log"
    )
    (axes,) = panels(figure)
    by_name = {line.get_label(): line for line in axes.lines}
    assert by_name["truth"].get_color() == "black"
    assert len({by_name[name].get_color() for name in ("truth", "wiener", "ks93")}) == 3
    np.testing.assert_array_equal(by_name["ks93"].get_ydata(), curves["ks93"].y)
    assert by_name["published"].get_xydata().tolist() == [[5.0, 0.5]]
    bands = [band.get_paths()[0].vertices[:, 1] for band in axes.collections]
    assert [(v.min(), v.max()) for v in bands] == [(1.9, 2.1), (2.9, 3.1)]
    assert axes.get_xscale() == "log"


@pytest.mark.parametrize(
    ("plot", "settings", "label"),
    [
        (plot_pdf, {}, "probability density"),
        (plot_correlation, {}, "ξ(θ)"),
        (plot_completeness, {"points": {"Cha et al. 2025": (1e14, 0.75)}}, "completeness"),
        (plot_power, {"within": 0.04}, "C(ℓ) / true C(ℓ)"),
    ],
)
def test_named_curves(drawn, plot, settings, label):
    figure = drawn(plot, {"wiener": curve(0.5)}, **settings)
    (axes,) = panels(figure)
    assert axes.get_ylabel() == label
    assert "wiener" in [text.get_text() for text in axes.get_legend().get_texts()]


def test_power_shows_the_accuracy(drawn):
    (axes,) = panels(drawn(plot_power, {"wiener": curve(0.5)}, within=0.04))
    (band,) = axes.patches
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((0.96, 1.04))
