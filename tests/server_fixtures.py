"""A bucket on this machine, and what S3 needs to find it."""

import pytest
from bucket_server import bucket_server


@pytest.fixture(scope="session")
def server():
    """Return the address of a server that speaks S3."""
    with bucket_server() as address:
        yield address


@pytest.fixture
def unconnected(monkeypatch, tmp_path):
    """Let a test begin with a file system of S3 that knows no server and no credentials, here and in what it starts."""
    pytest.importorskip("s3fs")
    from lensdask import remote

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    remote._connected.cache_clear()
    yield monkeypatch
    remote._connected.cache_clear()


@pytest.fixture
def bucket(server, unconnected):
    """Return the URL of an empty bucket."""
    import fsspec

    unconnected.setenv("AWS_ENDPOINT_URL", server)
    unconnected.setenv("AWS_ACCESS_KEY_ID", "a name")
    unconnected.setenv("AWS_SECRET_ACCESS_KEY", "a key")
    system = fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)
    system.mkdir("bucket")
    yield "s3://bucket"
    system.rm("bucket", recursive=True)
