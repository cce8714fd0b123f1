"""What all tests share: tests of the GPU run where there is one, and say so where there is none."""

import pytest

pytest_plugins = ("field_fixtures", "tile_fixtures")


def pytest_addoption(parser):
    parser.addoption("--require-gpu", action="store_true", help="fail the gpu tests where there is no CUDA device")


@pytest.fixture
def cuda(request):
    """Return "cuda", or skip; with --require-gpu a missing device is a failure."""
    from lensdask.compute.devices import count_cuda_devices

    if count_cuda_devices() > 0:
        return "cuda"
    if request.config.getoption("--require-gpu"):
        pytest.fail("no CUDA device")
    return pytest.skip("no CUDA device")
