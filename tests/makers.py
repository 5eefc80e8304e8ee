"""Keys and certificates of people who sign models, made for a test."""

import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PEM = serialization.Encoding.PEM
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


class Maker:
    """Somebody with a key: `key` is its PEM file, `public` that of the public half."""

    def __init__(self, folder: Path, name: str):
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.key, self.public = folder / f"{name}.pem", folder / f"{name}.pub"
        self.key.write_bytes(private_pem(self.private))
        self.public.write_bytes(
            self.private.public_key().public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )


class Authority:
    """Somebody who issues certificates: `root` is the PEM file of its own."""

    def __init__(self, folder: Path):
        self._folder, self._private = folder, ec.generate_private_key(ec.SECP256R1())
        self.name = named("root of the test")
        self.root = folder / "root.pem"
        builder = certificate(self.name, self.name, self._private.public_key(), days=(-400, 400))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.root.write_bytes(builder.sign(self._private, hashes.SHA256()).public_bytes(PEM))

    def issue(self, maker: Maker, *, days: tuple[int, int] = (-2, 30)) -> Path:
        """A PEM file with the maker's private key and a certificate of it."""
        builder = certificate(self.name, named("ann"), maker.private.public_key(), days=days)
        usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
        builder = builder.add_extension(usage, critical=True)
        pem = builder.sign(self._private, hashes.SHA256()).public_bytes(PEM)
        path = self._folder / f"ann{days[1]}.pem"
        path.write_bytes(maker.key.read_bytes() + pem)
        return path


def certificate(issuer, subject, public, *, days):
    start, end = (NOW + number * DAY for number in days)
    return (
        x509.CertificateBuilder().issuer_name(issuer).subject_name(subject).public_key(public)
        .serial_number(x509.random_serial_number()).not_valid_before(start).not_valid_after(end)
    )  # fmt: skip


def named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def private_pem(key, password: bytes = b"") -> bytes:
    how = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, how)
