"""Schedulers that may not be talked to, and certificates that do not fit, are told in one line that names the cure."""

import importlib.util
import json
import socket
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import dask
import pytest
from distributed.security import Security

from lensdask.compute import start_cluster
from lensdask.compute.addresses import is_loopback, knock, scheduler_address
from lensdask.errors import InputError

FILE = Path(__file__).parents[2] / "cluster" / "make_certificates.py"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """Return folders of certificates: ours, those of another authority, and expired ones."""
    spec = importlib.util.spec_from_file_location("make_certificates", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    root = tmp_path_factory.mktemp("certificates")
    for name, days in (("ours", 1), ("theirs", 1), ("expired", 0)):
        module.write_files(root / name, module.make_certificates(days))
    return root


def configure(root: Path, ca: str, cert: str, key: str | None = None) -> dict[str, str]:
    """Return a Dask configuration of one authority, the certificate of another, and the key of a third."""
    pairs = {
        f"distributed.comm.tls.{role}.{kind}": str(root / folder / f"{kind}.pem")
        for role in ("client", "scheduler")
        for kind, folder in (("cert", cert), ("key", key or cert))
    }
    return {"distributed.comm.tls.ca-file": str(root / ca / "ca.pem"), **pairs}


@contextmanager
def listener(greeting: bytes, configuration: dict[str, str] | None):
    """Listen as a scheduler of this configuration would; give the port."""
    with dask.config.set(configuration or {}):
        context = Security().get_listen_args("scheduler")["ssl_context"]
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            # The handshake fails where the test wants it to.
            with suppress(OSError):
                connection, _ = server.accept()
                with context.wrap_socket(connection, server_side=True) if context else connection as stream:
                    stream.sendall(greeting)
                    stream.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            # For a listener that was never reached.
            socket.create_connection(server.getsockname()).close()
            thread.join()


def test_knock_over_tls(certificates):
    ours = configure(certificates, "ours", "ours")
    with listener(b"x", ours) as port, dask.config.set(ours):
        knock(f"tls://127.0.0.1:{port}", 2)


# Of each side: the authority it trusts, whose certificate it shows, and whose key.
@pytest.mark.parametrize(
    ("server", "client", "message"),
    [
        (("theirs", "theirs"), ("ours", "ours"), r"its certificate is not accepted \(.*self-signed certificate"),
        (("expired", "expired"), ("expired", "expired"), r"its certificate is not accepted \(certificate has expired"),
        (("ours", "ours"), ("ours", "theirs"), r"it does not accept our certificate \(unknown ca\)"),
        (("expired", "ours"), ("ours", "expired"), r"it does not accept our certificate \(certificate expired\)"),
        (None, ("ours", "ours"), "it does not speak TLS"),
        (("ours", "ours"), ("ours", "ours", "theirs"), "cannot be read: KEY_VALUES_MISMATCH"),
        (("ours", "ours"), ("ours", "missing"), "cannot be read: client.cert, cert.pem: No such file"),
        (("ours", "ours"), ("ours", "ours", "missing"), "cannot be read: client.key, key.pem: No such file"),
        (("ours", "ours"), None, "has no certificates"),
    ],
)
def test_certificates_that_do_not_fit(certificates, server, client, message):
    serving = configure(certificates, *server) if server else None
    with (
        listener(b"x" * 64, serving) as port,
        dask.config.set(configure(certificates, *client) if client else {}),
        pytest.raises(InputError, match=message) as caught,
    ):
        start_cluster(f"tls://127.0.0.1:{port}")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"cluster tls://127.0.0.1:{port}: ")
    assert "cluster/" in str(caught.value)
    assert str(certificates) not in str(caught.value)


def test_silence(monkeypatch, certificates):
    monkeypatch.setattr("lensdask.compute.clusters._CONNECT_SECONDS", 0.2)
    with (
        listener(b"", configure(certificates, "ours", "ours")) as port,
        pytest.raises(InputError, match="does not greet as a scheduler does; it may expect tls://"),
    ):
        start_cluster(f"tcp://127.0.0.1:{port}")


def test_hanging_up():
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: server.accept()[0].close())
        thread.start()
        with pytest.raises(ConnectionError, match="without a greeting"):
            knock(f"tcp://127.0.0.1:{server.getsockname()[1]}", 2)
        thread.join()


@pytest.mark.parametrize("scheme", ["tcp", "tls", "http"])
@pytest.mark.parametrize("in_file", [True, False])
@pytest.mark.parametrize("tail", ["user:hunter2@localhost:8786", "localhost:8786/?token=hunter2", "localhost:hunter2"])
def test_passwords_are_refused_and_not_repeated(tmp_path, scheme, in_file, tail):
    cluster = f"{scheme}://{tail}"
    if in_file:
        (tmp_path / "scheduler.json").write_text(json.dumps({"address": cluster}))
        cluster = str(tmp_path / "scheduler.json")
    with pytest.raises(InputError, match="cluster") as caught:
        start_cluster(cluster, workers=2)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
    # Nor may a page of traceback, if somebody prints one.
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("bad", ["tcp://", "tls://host", "tls://host:", "tls://:8786", "tcp://[::1]", "ucx://host:1"])
def test_other_addresses(bad):
    with pytest.raises(InputError, match="expected an address"):
        scheduler_address(bad)


def test_a_long_address_is_not_repeated(tmp_path):
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": "a" * 10**7}))
    with pytest.raises(InputError, match="an address of 10000000 characters; expected tcp://HOST:PORT") as caught:
        scheduler_address(str(file))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("port", [0, 65536, 99999])
def test_ports_that_do_not_exist(port):
    with pytest.raises(InputError, match=f"port {port}; expected 1 to 65535"):
        scheduler_address(f"tls://host:{port}")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("tcp://127.0.0.1:1", True),
        ("tcp://127.3.2.1:1", True),
        ("tcp://localhost:1", True),
        ("tcp://[::1]:1", True),
        ("tcp://localhost.example.org:1", False),
        ("tcp://0.0.0.0:1", False),
        ("tcp://10.0.0.1:1", False),
        ("tcp://[fe80::1]:1", False),
    ],
)
def test_loopback(address, expected):
    assert scheduler_address(address) == address
    assert is_loopback(address) is expected


def test_encryption_that_is_required_leaves_this_machine_alone(certificates):
    strict = {"distributed.comm.require-encryption": True, "distributed.comm.default-scheme": "tls"}
    with (
        dask.config.set(strict | configure(certificates, "ours", "ours")),
        start_cluster("threads", workers=1) as client,
    ):
        assert client.submit(sum, [1, 2]).result() == 3
        assert client.scheduler.address.startswith("tcp://127.0.0.1:")
