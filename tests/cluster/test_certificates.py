"""The certificates: whole, private, and enough for Dask."""

import ssl
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import yaml
from cryptography import x509

SCRIPT = "make_certificates.py"


def make(cluster, *arguments):
    command = [sys.executable, cluster / SCRIPT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_only_the_owner_can_read(home):
    folder = home / ".lensdask-tls"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.glob("*[my]")}
    assert {name: modes[name] for name in ("ca.pem", "cert.pem", "key.pem")} == dict.fromkeys(
        ("ca.pem", "cert.pem", "key.pem"), 0o600
    )
    # The key of the authority is nowhere: nobody can sign another certificate.
    assert [path.name for path in folder.iterdir() if b"PRIVATE KEY" in path.read_bytes()] == ["key.pem"]


def test_the_authority_signed_the_certificate(home):
    folder = home / ".lensdask-tls"
    ca, own = (x509.load_pem_x509_certificate((folder / f).read_bytes()) for f in ("ca.pem", "cert.pem"))
    own.verify_directly_issued_by(ca)
    assert ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not own.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert timedelta(days=364) < own.not_valid_after_utc - datetime.now(UTC) <= timedelta(days=365)
    # Raises unless the key is that of the certificate.
    ssl.create_default_context(cafile=folder / "ca.pem").load_cert_chain(folder / "cert.pem", folder / "key.pem")


def test_configuration(home):
    folder = home / ".lensdask-tls"
    dask = yaml.safe_load((folder / "dask.yaml").read_text())["distributed"]
    pair = {"cert": f"{folder}/cert.pem", "key": f"{folder}/key.pem"}
    assert dask["comm"]["require-encryption"] is True
    assert dask["scheduler"]["allowed-failures"] == 1
    assert dask["comm"]["tls"] == {"ca-file": f"{folder}/ca.pem", "scheduler": pair, "worker": pair, "client": pair}


def test_for_pods(cluster, tmp_path):
    done = make(cluster, tmp_path / "tls", "--mounted-at", "/etc/lensdask-tls", "--days", 7)
    assert done.stdout == "export DASK_CONFIG=/etc/lensdask-tls/dask.yaml\n"
    assert str(tmp_path) not in (tmp_path / "tls" / "dask.yaml").read_text()


def test_nothing_is_overwritten(cluster, home):
    folder = home / ".lensdask-tls"
    before = (folder / "key.pem").read_bytes()
    done = make(cluster, folder)
    assert done.returncode == 2
    assert "expected a new folder" in done.stderr
    assert (folder / "key.pem").read_bytes() == before
