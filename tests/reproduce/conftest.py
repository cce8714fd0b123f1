"""What the tests of experiments share: each of them carried out once at size tiny."""

import pytest

from lensdask.compute import RunOptions
from lensdask.reproduce import run_experiment


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """Return a function that runs an experiment once and gives its result and directory."""
    folder = tmp_path_factory.mktemp("experiments")
    options = RunOptions(show_progress=False, device="cpu")
    done = {}

    def result_of(name):
        if name not in done:
            done[name] = run_experiment(name, folder / name, size="tiny", study=folder / "study", options=options)
        return done[name], folder / name

    return result_of
