"""Where a scheduler is, whether one may talk to it, and whether it answers.

A scheduler is asked before Dask's client is: a client that fails to connect takes its time, says little about
certificates, and leaves its event loop to the garbage collector, which may then hold up the start of the next one.
"""

import ipaddress
import os
import re
import socket
import ssl
from pathlib import Path

import dask
from distributed.security import Security

from lensdask.data.files import read_json
from lensdask.errors import InputError

__all__ = ["is_loopback", "knock", "scheduler_address"]

_ADDRESS = re.compile(r"(?P<scheme>tcp|tls)://(\[(?P<ipv6>[^]@/]+)\]|(?P<host>[^][:@/?#]+)):(?P<port>\d{1,5})")

_LAST_PORT = 65535

_LONGEST = 300
"""Characters; names of hosts have at most 253. Messages repeat addresses."""

_ADVICE = "make them with cluster/make_certificates.py and export DASK_CONFIG"


def scheduler_address(cluster: str) -> str:
    """Return the address of a scheduler.

    Parameters
    ----------
    cluster
        An address ``tcp://HOST:PORT`` or ``tls://HOST:PORT``, or the path of a scheduler file, which holds one.

    Raises
    ------
    InputError
        It is neither. The line repeats no address, in which there may be a password.
    """
    if "://" in cluster:
        address, where = cluster, "cluster"
    else:
        address, where = _read_scheduler_file(Path(cluster)), f"cluster {cluster!r}"
    if len(address) > _LONGEST:
        raise InputError(
            f"{where}: an address of {len(address)} characters; expected tcp://HOST:PORT or tls://HOST:PORT"
        )
    if "@" in address:
        raise InputError(
            f"{where}: the address has a user name or password, which Dask does not take; "
            "expected tls://HOST:PORT, which authenticates by certificate"
        )
    if not _ADDRESS.fullmatch(address):
        scheme = address.partition("://")[0]
        raise InputError(
            f"{where}: no host and port after {scheme}://, or an unknown protocol; "
            "expected an address tcp://HOST:PORT or tls://HOST:PORT"
        )
    if not 1 <= _host_and_port(address)[1] <= _LAST_PORT:
        raise InputError(f"{where}: an address with port {_host_and_port(address)[1]}; expected 1 to {_LAST_PORT}")
    return address


def is_loopback(address: str) -> bool:
    """Return whether an address of `scheduler_address` is on this machine."""
    host, _ = _host_and_port(address)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def knock(address: str, timeout: float) -> None:
    """Check that a scheduler answers, and over TLS that each side accepts the other's certificate.

    Parameters
    ----------
    address
        As `scheduler_address` returns it.
    timeout
        Seconds to wait for each step.

    Raises
    ------
    InputError
        The certificates are missing, unreadable, out of date or of another authority.
    OSError
        Nobody answers.
    """
    context = _client_context(address) if address.startswith("tls:") else None
    with socket.create_connection(_host_and_port(address), timeout=timeout) as plain:
        try:
            with context.wrap_socket(plain) if context else plain as stream:
                # A scheduler greets first. It reads our certificate after we have read its own, so a refusal arrives
                # only in place of the greeting.
                if not stream.recv(1):
                    raise ConnectionError("the connection was closed without a greeting")
        except TimeoutError as error:
            hint = "" if context else "; it may expect tls://"
            raise TimeoutError(f"somebody listens, but does not greet as a scheduler does{hint}") from error
        except ssl.SSLError as error:
            raise InputError(f"cluster {address}: {_what_failed(error)}") from error


def _host_and_port(address: str) -> tuple[str, int]:
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise ValueError(f"not an address of scheduler_address: {address}")
    return found["ipv6"] or found["host"], int(found["port"])


def _client_context(address: str) -> ssl.SSLContext:
    try:
        context = Security().get_connection_args("client")["ssl_context"]
    except OSError as error:
        # OpenSSL does not say which file; the configuration does.
        detail = _missing_file() or getattr(error, "reason", None) or error.strerror or str(error)
        raise InputError(
            f"cluster {address}: the certificates in Dask's configuration (distributed.comm.tls) cannot be read: "
            f"{detail}; {_ADVICE}"
        ) from error
    if not isinstance(context, ssl.SSLContext):
        raise InputError(
            f"cluster {address}: Dask's configuration (distributed.comm.tls) has no certificates; {_ADVICE}"
        )
    return context


def _missing_file() -> str:
    """Name a file of the configuration that is not there, by its entry; not where it would be, which is nobody's."""
    for entry in ("ca-file", "client.cert", "client.key"):
        file = dask.config.get(f"distributed.comm.tls.{entry}")
        if file and not Path(file).exists():
            return f"{entry}, {Path(file).name}: No such file"
    return ""


def _what_failed(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({error.verify_message}); both sides need one set in date: {_ADVICE}"
    if error.reason and "ALERT" in error.reason:
        reason = error.reason.rpartition("ALERT_")[2].replace("_", " ").lower()
        return f"it does not accept our certificate ({reason}); both sides need one set in date: {_ADVICE}"
    return f"it does not speak TLS ({error.reason}); start it with certificates, cluster/README.md says how"


def _read_scheduler_file(path: Path) -> str:
    expected = "local, threads, cuda, tcp://…, tls://… or the path of a scheduler file"
    if not path.exists():
        raise InputError(f"cluster {os.fspath(path)!r}: no such scheduler file; expected {expected}")
    content = read_json(path, expected)
    try:
        return str(content["address"])
    except (KeyError, TypeError) as error:
        raise InputError(f"cluster {os.fspath(path)!r} is not a scheduler file; expected {expected}") from error
