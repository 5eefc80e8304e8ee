"""Where the signatures of a model lie, and what one says of itself before anybody has checked it."""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carpipe import forms
from carpipe.errors import InputError, MissingError
from carpipe.names import brief
from carpipe.storage import Store
from carpipe.weights import plain_files
from carpipe.weights.signing_keys import ID, owner_of

SIGNATURE = "model.sig"
OTHER = re.compile(r"model-[0-9a-f]{16}\.sig")
# Signatures of one model that are looked at.
MAX_SIGNATURES = 20
MAX_CERTIFICATES = 20  # of one
# Bytes of one: twenty certificates of the longest keys have some 60,000.
MAX_SIGNATURE_BYTES = 2**20
_PREDICATE = "https://model_signing/signature/v1.0"


@dataclass(frozen=True)
class Signature:
    """What a signature says.

    Attributes:
        key: where it lies.
        digest: sha256 of the manifest that it is of.
        key_id: of the key that made it.
        name: of the certificate's owner; empty where a bare key signed.
        chain: the signer's certificate, then those above it, in DER; empty where a bare key signed.
        data: the signature as it is stored.
    """

    key: str
    digest: str
    key_id: str
    name: str
    chain: tuple[bytes, ...]
    data: bytes

    @property
    def file(self) -> str:
        """Its name in the model's folder."""
        return self.key.rpartition("/")[2]

    @property
    def by(self) -> str:
        """Who made it, for people."""
        return f"{self.key_id} ({self.name})" if self.name else self.key_id


class InBucket:
    """The signatures of a model in the bucket."""

    def __init__(self, store: Store, model: str):
        self._store, self._home = store, model.rpartition("/")[0]

    def key_of(self, name: str) -> str:
        return f"{self._home}/{name}"

    def read(self, name: str) -> bytes | None:
        """A signature by its name, None where there is none. Raises TooLargeError where it can be none."""
        try:
            return self._store.get(self.key_of(name), max_bytes=MAX_SIGNATURE_BYTES)
        except MissingError:
            return None

    def others(self) -> list[str]:
        """Names of all signatures but the first."""
        names = (info.key.rpartition("/")[2] for info in self._store.list_objects(self._home))
        return [name for name in names if OTHER.fullmatch(name)][:MAX_SIGNATURES]


class InFolder:
    """The signatures of a model on local disk."""

    def __init__(self, folder: Path):
        self._folder = folder

    def key_of(self, name: str) -> str:
        return str(self._folder / name)

    def read(self, name: str) -> bytes | None:
        """A signature by its name, None where there is none. Raises InputError where it can be none."""
        try:
            return plain_files.read(self._folder / name, max_bytes=MAX_SIGNATURE_BYTES)
        except FileNotFoundError:
            return None

    def others(self) -> list[str]:
        """Names of all signatures but the first."""
        return sorted(path.name for path in self._folder.glob("model-*.sig") if OTHER.fullmatch(path.name))[
            :MAX_SIGNATURES
        ]


def other_name(key_id: str) -> str:
    """What a signature is called that is not the model's first."""
    return f"model-{key_id}.sig"


def read_signature(data: bytes, *, key: str) -> Signature:
    """What a signature says of itself. Nothing of it is proved.

    Raises:
        InputError: it is no signature of one manifest.
    """
    what = "a signature of a model"
    body = forms.parse(data, key=key, what=what)
    try:
        payload = base64.b64decode(body["dsseEnvelope"]["payload"], validate=True)
        statement = forms.parse(payload, key=key, what=what)
        [resource] = statement["predicate"]["resources"]
        if (statement["predicateType"], resource["name"], resource["algorithm"]) != (
            _PREDICATE, "manifest.json", "sha256",
        ):  # fmt: skip
            raise ValueError("it is not over a manifest")
        digest = re.fullmatch("[0-9a-f]{64}", resource["digest"])
        if not digest:
            raise ValueError("it names no sha256")
        return Signature(key, digest[0], *_signer(body["verificationMaterial"]), data=data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else brief(str(error)).rstrip(".")
        raise InputError(f"{key} is not {what} that carpipe understands: {reason}.") from None


def _signer(material: Any) -> tuple[str, str, tuple[bytes, ...]]:
    """Id, name and certificates of the key that a signature names."""
    if "publicKey" in material:
        hint = re.fullmatch("[0-9a-f]{64}", material["publicKey"]["hint"])
        if not hint:
            raise ValueError("it names no key")
        return hint[0][:ID], "", ()
    certificates = material["x509CertificateChain"]["certificates"][:MAX_CERTIFICATES]
    chain = tuple(base64.b64decode(one["rawBytes"], validate=True) for one in certificates)
    if not chain:
        raise ValueError("it names no certificate")
    return (*owner_of(chain[0]), chain)


def claims_of(where: InBucket | InFolder) -> Iterator[Signature | None]:
    """What every signature that there is says of itself, the first one first; None of one that cannot be read."""
    for name in [SIGNATURE, *where.others()]:
        try:
            if (data := where.read(name)) is not None:
                yield read_signature(data, key=where.key_of(name))
        except InputError:
            yield None
