"""Pictures of posteriors are drawn from what is given."""

import matplotlib.image
import numpy as np
import pytest

from lensdask.plots.posteriors import plot_corner, plot_trust


def drawn(path):
    """Return the share of pixels that are not white."""
    return (matplotlib.image.imread(path)[..., :3] < 0.99).any(axis=-1).mean()


def test_two_posteriors_in_one_corner(tmp_path):
    rng = np.random.default_rng(0)
    draws = {"wide": rng.standard_normal((3000, 3)), "narrow": 0.3 * rng.standard_normal((3000, 3)) + 1}
    plot_corner(draws, ["a", "b", r"\eta"], tmp_path / "corner.png", truth=[0, 0, 8.0])
    assert drawn(tmp_path / "corner.png") > 0.03


@pytest.mark.parametrize("mocks", [0, 40])
def test_trust(tmp_path, mocks):
    rng = np.random.default_rng(0)
    tested = {"ranks": rng.random((mocks, 9)), "tarp": {"of the prior": rng.random(mocks)}} if mocks else {}
    differences = rng.normal(0, 0.1, (50, 9))
    plot_trust(
        tmp_path / "trust.png",
        labels=[f"p_{i}" for i in range(9)],
        mean_difference=differences,
        scatter_difference=differences,
        **tested,
    )
    assert drawn(tmp_path / "trust.png") > 0.03
