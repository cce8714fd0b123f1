"""What all tests share: tests of the GPU run where there is one, and say so where there is none; who runs which."""

import pytest

pytest_plugins = ("field_fixtures", "tile_fixtures")


def pytest_addoption(parser):
    parser.addoption("--require-gpu", action="store_true", help="fail the gpu tests where there is no CUDA device")


# Before pytest-xdist looks for the groups.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Keep together, for one process of pytest-xdist, the tests of a file, and all that share experiments."""
    for item in items:
        folder = item.path.parent.name
        item.add_marker(pytest.mark.xdist_group(folder if folder == "reproduce" else str(item.path)))


@pytest.fixture
def cuda(request):
    """Return "cuda", or skip; with --require-gpu a missing device is a failure."""
    from lensdask.compute.devices import count_cuda_devices

    if count_cuda_devices() > 0:
        return "cuda"
    if request.config.getoption("--require-gpu"):
        pytest.fail("no CUDA device")
    return pytest.skip("no CUDA device")
