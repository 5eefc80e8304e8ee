"""Keys for the inside of SeaweedFS: every port of it but S3's asks for a certificate that only this server has.

    python -m carpipe.local.s3_keys FOLDER

SeaweedFS is several servers in one process: master, volume, filer, admin. They call each other by HTTP and gRPC, and
by default answer everybody, a web page in the user's browser among them. With the `security.toml` made here they speak
TLS to each other, and hang up on who does not show the certificate beside it. That also settles foreign `Host`
headers: without the certificate nobody gets as far as sending one.
"""

import datetime
import ipaddress
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from carpipe.backports import UTC
from carpipe.local import state
from carpipe.local.ports import LOOPBACK

SECURITY, CERTIFICATE, KEY = "security.toml", "certificate.pem", "key.pem"
FILES = (SECURITY, CERTIFICATE, KEY)
# The parts of SeaweedFS by the names of its own `weed scaffold -config=security`.
GRPC = ("master", "volume", "filer", "s3", "admin", "worker", "msg_broker", "msg_agent", "mq", "client")
HTTPS = ("master", "volume", "filer", "admin", "client")
NAMES = ("localhost", "seaweedfs")  # the second is its name in the Compose file
# Nobody renews it: who can read the key can read the objects anyway. A new one is made at each start of `make run`.
VALID = datetime.timedelta(days=36_500)


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the keys where there are none; a server that runs goes on with those it has read."""
    [folder] = map(Path, sys.argv[1:] if arguments is None else arguments)
    if not has_keys(folder):
        write_keys(folder)
    return 0


def has_keys(folder: Path) -> bool:
    """Whether all files are there."""
    return all((folder / name).is_file() for name in FILES)


def write_keys(folder: Path) -> None:
    """Draw a key and write it, its certificate and `security.toml`, which names both, for its owner only.

    Args:
        folder: made where it is missing; `weed -config_dir=<folder>` reads it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    certificate, key = _draw()
    state.secret_file(folder / KEY, key)
    state.secret_file(folder / CERTIFICATE, certificate)
    state.secret_file(folder / SECURITY, security_toml(folder.resolve()))


def security_toml(folder: Path) -> str:
    """What SeaweedFS reads: each part shows the certificate, and takes it alone from others."""
    # TOML's strings are JSON's, but for pairs of surrogates, so letters are left as they are.
    ca, key = (json.dumps(str(folder / name), ensure_ascii=False) for name in (CERTIFICATE, KEY))
    grpc = [f"[grpc.{part}]\ncert = {ca}\nkey = {key}\n" for part in GRPC]
    https = [f"[https.{part}]\nenabled = true\ncert = {ca}\nkey = {key}\nca = {ca}\n" for part in HTTPS]
    return "\n".join([f"[grpc]\nca = {ca}\n", *grpc, *https])


def _draw() -> tuple[str, str]:
    """A certificate that vouches for itself, and its key, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "carpipe's S3 server")])
    names = [*map(x509.DNSName, NAMES), x509.IPAddress(ipaddress.ip_address(LOOPBACK))]
    now = datetime.datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # clocks of machines differ
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(pem).decode(), private.decode()


if __name__ == "__main__":
    sys.exit(main())
