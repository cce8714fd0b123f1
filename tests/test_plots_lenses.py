"""The picture of lenses: which is where, on which scale."""

import numpy as np
from matplotlib.figure import Figure

from lensdask.plots.lenses import SeenLens, plot_lenses


def test_every_lens_stands_above_its_residual_in_one_field(tmp_path, monkeypatch):
    saved, save = [], Figure.savefig

    def watched(figure, path, **settings):
        saved.append(figure)
        save(figure, path, **settings)

    monkeypatch.setattr(Figure, "savefig", watched)
    rng = np.random.default_rng(0)
    lenses = {
        f"lens {i}": SeenLens(rng.uniform(-1, 9, (n, n)), rng.normal(size=(n, n)), 0.1)
        for i, n in enumerate((8, 12, 12))
    }
    path = tmp_path / "lenses.png"
    plot_lenses(lenses, path, columns=2, limit=3.0)
    assert path.read_bytes().startswith(b"\x89PNG")
    (figure,) = saved
    panels = np.array([axes for axes in figure.axes if axes.get_label() != "<colorbar>"]).reshape(4, 2)
    places = [(0, 0), (0, 1), (2, 0)]
    for (row, column), (title, lens) in zip(places, lenses.items(), strict=True):
        above, below = panels[row, column], panels[row + 1, column]
        assert above.get_title() == title
        np.testing.assert_allclose(above.images[0].get_array(), np.sqrt(np.maximum(lens.image, 0)))
        np.testing.assert_allclose(below.images[0].get_array(), lens.residual)
        assert below.images[0].get_clim() == (-3.0, 3.0)
        # Of the smallest image, 8 pixels of 0.1 arcsec; y grows upwards.
        np.testing.assert_allclose([*above.get_xlim(), *below.get_ylim()], [-0.4, 0.4] * 2)
    assert not any(axes.images or axes.axison for axes in panels[2:, 1])
