"""One likelihood, learned from a few simulations of the toy, for all tests that need one."""

import pytest
from lss_toy import toy_summaries

from lensdask.lss.inference.training import fit_likelihood, likelihood_recipe


@pytest.fixture(scope="session")
def toy():
    return toy_summaries(6000)


@pytest.fixture(scope="session")
def toy_likelihood(toy, tmp_path_factory):
    path = tmp_path_factory.mktemp("likelihood") / "likelihood.safetensors"
    return fit_likelihood(path, toy, likelihood_recipe("mdn", 7, epochs=5), device="cpu")
