"""Keys that sign models, and those that are trusted: PEM files, or PEM that Airflow keeps in a connection."""

import hashlib
import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from carpipe.config import SigningConfig
from carpipe.errors import ConfigError, InputError
from carpipe.names import shown

log = logging.getLogger(__name__)

CONNECTION = "connection:"
# Hex digits of a key's id, of the 64 of its sha256.
ID = 16
_BLOCK = re.compile(rb"-----BEGIN (?P<kind>[A-Z ]+)-----.*?-----END (?P=kind)-----\n?", re.DOTALL)
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_MAKE_ONE = "`openssl ecparam -name prime256v1 -genkey -noout -out key.pem` makes one"


@dataclass(frozen=True)
class SigningKey:
    """A private key, and its certificates where it has some.

    Attributes:
        id: of its public half.
        public: its public half, in PEM.
        certificates: its own, then those above it, in PEM.
        chain: the same in DER.
    """

    id: str
    public: bytes
    certificates: tuple[bytes, ...] = ()
    chain: tuple[bytes, ...] = ()
    private: bytes = field(default=b"", repr=False, compare=False)

    @contextmanager
    def as_file(self) -> Iterator[str]:
        """A path that the private key can be read from as long as the block runs. It is in memory, on no disk."""
        number = os.memfd_create("carpipe-key", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(number), "wb") as file:
                file.write(self.private)
            yield f"/proc/self/fd/{number}"
        finally:
            os.close(number)


@dataclass(frozen=True)
class Trusted:
    """Whose signatures count: public keys in PEM by their id, and certificates of authorities in PEM."""

    keys: dict[str, bytes]
    authorities: tuple[bytes, ...]

    def check_chain(self, chain: Sequence[bytes], *, key: str) -> None:
        """Refuse certificates that no trusted authority has issued, or that do not hold today.

        `model-signing` holds them against the day on which they were issued.

        Raises:
            InputError: says what is wrong with them.
        """
        if not self.authorities:
            raise InputError(
                f"{key} was made with the certificate of {owner_of(chain[0])[1]}, and signing.trusted names no "
                "authority that could have issued it."
            )
        from cryptography import x509
        from OpenSSL import crypto

        known = crypto.X509Store()
        for pem in self.authorities:
            known.add_cert(crypto.X509.from_cryptography(x509.load_pem_x509_certificate(pem)))
        try:
            leaf, *above = (crypto.X509.from_cryptography(x509.load_der_x509_certificate(der)) for der in chain)
            crypto.X509StoreContext(known, leaf, above).verify_certificate()
        except (crypto.X509StoreContextError, crypto.Error, ValueError) as error:
            raise InputError(
                f"{key} was made with the certificate of {owner_of(chain[0])[1]}, which does not hold: {error}. Sign "
                "the model again with `carpipe weights sign`, or correct signing.trusted."
            ) from None


def load_key(config: SigningConfig, given: bytes = b"") -> SigningKey | None:
    """What models are signed with, None where they are not.

    Args:
        given: the PEM of a connection, which only a task of Airflow can read.

    Raises:
        ConfigError: there is no such key, or none that can sign.
    """
    if not config.key:
        return None
    if config.key.startswith(CONNECTION):
        if not given:
            raise ConfigError(
                f"signing.key is {config.key}, which only tasks of Airflow can read; name a PEM file here."
            )
        return parse_key(given, name=f"the connection {config.key.removeprefix(CONNECTION)!r}")
    pem = _read(config.key, "signing.key")
    if Path(config.key).expanduser().stat().st_mode & 0o077:
        log.warning("%s can be read by other accounts; `chmod 600` keeps the key yours.", config.key)
    return parse_key(pem, name=config.key)


def parse_key(pem: bytes, *, name: str) -> SigningKey:
    """A private key from PEM, with the certificates that follow it. Raises ConfigError; never shows any of it."""
    serialization, _, _ = _cryptography()
    blocks = [(match["kind"], match[0]) for match in _BLOCK.finditer(pem)]
    found = [block for kind, block in blocks if kind.endswith(b"PRIVATE KEY")]
    if len(found) != 1:
        raise ConfigError(f"{name} holds {len(found)} private keys in PEM, expected one; {_MAKE_ONE}.")
    try:
        private = serialization.load_pem_private_key(found[0], None)
    except (ValueError, TypeError, NotImplementedError) as error:
        reason = "it is encrypted; keep it without a password, readable to its user alone" if isinstance(
            error, TypeError
        ) else "it is none"  # fmt: skip
        raise ConfigError(f"The private key in {name} cannot be read: {reason}.") from None
    public = private.public_key()
    _check_curve(public, name)
    certificates = tuple(block for kind, block in blocks if kind == b"CERTIFICATE")
    chain = tuple(_der(block, name) for block in certificates)
    if chain and owner_of(chain[0])[0] != id_of(_public_pem(public)):
        raise ConfigError(f"The first certificate in {name} is not of the private key there.")
    return SigningKey(id_of(_public_pem(public)), _public_pem(public), certificates, chain, found[0])


def load_trusted(paths: Sequence[str]) -> Trusted:
    """The keys and authorities of `signing.trusted`. Raises ConfigError where a file is none."""
    keys: dict[str, bytes] = {}
    authorities: list[bytes] = []
    for path in paths:
        pem = _read(path, "signing.trusted")
        serialization, _, _ = _cryptography()
        blocks = [(match["kind"], match[0]) for match in _BLOCK.finditer(pem)]
        if not blocks or {kind for kind, _ in blocks} - {b"PUBLIC KEY", b"CERTIFICATE"}:
            raise ConfigError(
                f"{path} in signing.trusted is to hold public keys or certificates in PEM, and nothing else; "
                "`openssl pkey -in key.pem -pubout -out key.pub` makes a key's public half."
            )
        for kind, block in blocks:
            if kind == b"CERTIFICATE":
                _der(block, path)
                authorities.append(block)
                continue
            try:
                public = serialization.load_pem_public_key(block)
            except ValueError:
                raise ConfigError(f"A public key in {path} of signing.trusted cannot be read.") from None
            _check_curve(public, path)
            keys[id_of(_public_pem(public))] = _public_pem(public)
    return Trusted(keys, tuple(authorities))


def id_of(public: bytes) -> str:
    """The id of a public key in PEM; its whole sha256 is the hint in a signature."""
    return hashlib.sha256(public).hexdigest()[:ID]


def owner_of(der: bytes) -> tuple[str, str]:
    """Key id and name of a certificate's owner. Raises ValueError where it is none."""
    _, _, x509 = _cryptography()
    try:
        certificate = x509.load_der_x509_certificate(der)
        return id_of(_public_pem(certificate.public_key())), shown(certificate.subject.rfc4514_string())
    except Exception as error:  # keys of unknown kinds have errors of their own
        raise ValueError(f"its certificate cannot be read: {error}") from None


def _check_curve(public: Any, name: str) -> None:
    _, ec, _ = _cryptography()
    if not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name not in _CURVES:
        raise ConfigError(f"The key in {name} is not of the curves P-256, P-384 and P-521; {_MAKE_ONE}.")


def _public_pem(public: Any) -> bytes:
    serialization, _, _ = _cryptography()
    pem: bytes = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem


def _der(pem: bytes, name: str) -> bytes:
    serialization, _, x509 = _cryptography()
    try:
        der: bytes = x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)
        return der
    except ValueError:
        raise ConfigError(f"A certificate in {name} cannot be read.") from None


def _read(path: str, setting: str) -> bytes:
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}, which {setting} names, cannot be read: {error.strerror}.") from None


@cache
def _cryptography() -> tuple[Any, Any, Any]:
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise ConfigError(
            f"Signatures need packages that are not installed here ({error}); install carpipe with the extra "
            '`signing`: pip install "<clone>[client,signing]".'
        ) from None
    return serialization, ec, x509
