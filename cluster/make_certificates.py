"""Make the certificates that let a scheduler, its workers and its clients talk through TLS.

    python cluster/make_certificates.py ~/.lensdask-tls
    export DASK_CONFIG=~/.lensdask-tls/dask.yaml

One key pair serves all three: whoever holds ``key.pem`` may run code on the workers, so share it with nobody.
Needs the package cryptography (``pip install '.[cluster]'`` in the checkout).
"""

import argparse
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CONFIGURATION = """\
# Dask's configuration, for: export DASK_CONFIG={folder}/dask.yaml
distributed:
  comm:
    # Nothing that starts under this configuration talks unencrypted, whatever its options.
    require-encryption: true
    default-scheme: tls
    tls:
      ca-file: {folder}/ca.pem
      scheduler: {pair}
      worker: {pair}
      client: {pair}
  scheduler:
    # A chunk is suspected when the second worker dies with it. Dask would wait for the fourth.
    allowed-failures: 1
  dashboard:
    # Dashboards listen on loopback alone: ssh -L PORT:localhost:PORT NODE leads there.
    link: http://localhost:{{port}}/status
  nanny:
    pre-spawn-environ:
      # Workers keep freed memory: a network allocates its feature maps thousands of times a second.
      MALLOC_TRIM_THRESHOLD_: 1073741824
      MALLOC_MMAP_THRESHOLD_: 1073741824
"""


def make_certificates(days: int) -> dict[str, bytes]:
    """Return an authority's certificate, and a certificate and key signed by it, as PEM files by name.

    The key of the authority is forgotten, so nobody can ever sign a second certificate with it.
    """
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("lensdask authority", authority, authority, days, is_authority=True)
    own = _certificate("lensdask", key, authority, days, is_authority=False)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem = serialization.Encoding.PEM
    return {"ca.pem": ca.public_bytes(pem), "cert.pem": own.public_bytes(pem), "key.pem": private}


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    authority: ec.EllipticCurvePrivateKey,
    days: int,
    *,
    is_authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name("lensdask authority"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # The clocks of a cluster's nodes differ.
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
    )
    return builder.sign(authority, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write files that only their owner can read, into a folder that must not exist."""
    folder.mkdir(mode=0o700, parents=True)
    for name, content in files.items():
        with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description="Make TLS certificates for Dask and its configuration.")
    parser.add_argument("folder", type=Path, help="folder to make; on a disk that all nodes see, and only you")
    parser.add_argument("--days", type=int, default=365, help="how long they hold (default: %(default)s)")
    parser.add_argument("--mounted-at", type=Path, help="where pods or containers see the folder, if elsewhere")
    arguments = parser.parse_args()
    folder = arguments.folder.expanduser().resolve()
    seen = arguments.mounted_at or folder
    if folder.exists():
        parser.error(f"{folder} exists; expected a new folder, for certificates are never overwritten")
    pair = f"{{cert: {seen}/cert.pem, key: {seen}/key.pem}}"
    configuration = CONFIGURATION.format(folder=seen, pair=pair)
    write_files(folder, make_certificates(arguments.days) | {"dask.yaml": configuration.encode()})
    print(f"export DASK_CONFIG={seen}/dask.yaml")


if __name__ == "__main__":
    main()
