"""What all tests share: tests of the GPU run where there is one, and say so where there is none; who runs which."""

import hypothesis
import pytest

pytest_plugins = ("field_fixtures", "server_fixtures", "tile_fixtures")

# A machine may be busy with other things: no test is about the time that an example takes.
hypothesis.settings.register_profile("lensdask", deadline=None)
hypothesis.settings.load_profile("lensdask")


def pytest_addoption(parser):
    parser.addoption("--require-gpu", action="store_true", help="fail the gpu tests where there is no CUDA device")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep together, for one process of pytest-xdist, the tests of a file, and all that share experiments."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            file = nodeid.partition("::")[0]
            return "reproduce" if "/reproduce/" in file else file

    return ByFile(config, log)


@pytest.fixture
def cuda(request):
    """Return "cuda", or skip; with --require-gpu a missing device is a failure."""
    from lensdask.compute.devices import count_cuda_devices

    if count_cuda_devices() > 0:
        return "cuda"
    if request.config.getoption("--require-gpu"):
        pytest.fail("no CUDA device")
    return pytest.skip("no CUDA device")
