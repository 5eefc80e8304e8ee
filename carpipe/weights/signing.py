"""Signed models: who made these weights, by OpenSSF's `model-signing`, which needs no network here.

    models/<channel>/<id>/model.sig             the first signature
    models/<channel>/<id>/model-<key id>.sig    others, when a key is followed by another

What is signed is the model's manifest, and by its sums every file of the model. A signature is a Sigstore bundle over a
folder with `manifest.json` alone, so `model_signing verify key --ignore_unsigned_files` reads it too.

A key's id is the start of the sha256 of its public half in PEM. `model-signing` is imported where it is used: it takes
a quarter of a second, and apps that want no signatures do not need it.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from carpipe.config import SigningConfig
from carpipe.errors import CarpipeError, ConfigError, InputError, TooLargeError, UnavailableError
from carpipe.machine import looking_at
from carpipe.storage import Store
from carpipe.weights.cache import model_id
from carpipe.weights.channel import Committed
from carpipe.weights.signatures import SIGNATURE, InBucket, InFolder, Signature, other_name, read_signature
from carpipe.weights.signing_keys import SigningKey, Trusted, load_trusted

log = logging.getLogger(__name__)

Where = InBucket | InFolder

MANIFEST = "manifest.json"


def sign(store: Store, model: Committed, key: SigningKey) -> str:
    """Sign a model, unless this key has done so; returns the key of the signature in the bucket.

    Guarantees that the signature of another key stays where it is.
    """
    place = InBucket(store, model.manifest.key)
    taken = _there(place, SIGNATURE)
    name = SIGNATURE if taken is None or _is_by(taken, key, place.key_of(SIGNATURE)) else other_name(key.id)
    there = taken if name == SIGNATURE else _there(place, name)
    if there is None or not _holds(there, model, key):
        store.put(place.key_of(name), make(model, key))
    return place.key_of(name)


def make(model: Committed, key: SigningKey) -> bytes:
    """The signature of a model, as it is stored."""
    library = _library()
    with _laid_out(model) as folder, key.as_file() as private:
        config = library.signing.Config()
        if key.certificates:
            chain = folder.parent / "chain.pem"
            leaf = folder.parent / "leaf.pem"
            leaf.write_bytes(key.certificates[0])
            # The library wants a chain that is not empty; the signer's own certificate twice is one.
            chain.write_bytes(b"\n".join(key.certificates[1:] or key.certificates))
            config.use_certificate_signer(private_key=private, signing_certificate=leaf, certificate_chain=[chain])
        else:
            config.use_elliptic_key_signer(private_key=private)
        target = folder.parent / SIGNATURE
        config.sign(folder, target)
        return target.read_bytes()


def check(model: Committed, where: Where, config: SigningConfig, *, warn: Callable[[str], None]) -> Signature | None:
    """The signature of a model that counts by the settings.

    Args:
        where: the model's folder, in the bucket or on disk.
        warn: told why there is none, where none is required.

    Returns:
        None where the settings ask for none, or the model is accepted as it is.

    Raises:
        InputError: a signature is required, and there is none that counts; says which one is wrong, and how.
        ConfigError: a file of `signing.trusted` is no key, or `model-signing` is not installed.
    """
    if not config.trusted and not config.require:
        return None
    try:
        return find(model, where, config)
    except InputError as error:
        if config.require:
            raise
        warn(str(error))
        return None


def check_for_use(model: Committed, where: Where, config: SigningConfig, *, use: str) -> Signature | None:
    """As `check`; why there is no signature, where none is required, is logged with what becomes of the model.

    Args:
        use: after "It", for the log: `goes live`.
    """
    return check(model, where, config, warn=lambda said: log.warning("%s It %s all the same.", said, use))


def find(model: Committed, where: Where, config: SigningConfig, *, own: SigningKey | None = None) -> Signature | None:
    """As `check`, where a signature is required.

    Args:
        own: a key that is trusted besides.
    """
    trusted = load_trusted(config.trusted)
    if own:
        trusted = Trusted({**trusted.keys, own.id: own.public}, trusted.authorities)
    refused: CarpipeError | None = None
    for name in _candidates(where, trusted):
        try:
            if (data := where.read(name)) is not None:
                return verify(data, model, trusted, key=where.key_of(name))
        except InputError as error:  # what nobody can read, too: it must not hide a good one
            refused = refused or error
    if refused:
        raise refused
    if _is_accepted(model, config):
        return None
    ident, _, now = accepted(model).partition("=")
    if pinned := [text.partition("=")[2] for text in config.accept_unsigned if text.startswith(f"{ident}=")]:
        raise InputError(
            f"{model.manifest.key} is not signed, and is not what signing.accept_unsigned names: that has sha256 "
            f"{pinned[0][:16]}…, the manifest has {now[:16]}…. Find out who has changed it before you trust it."
        )
    raise InputError(
        f"{model.manifest.key} is not signed, and a signature is required. Sign it with `carpipe weights sign`, or "
        f"name it in signing.accept_unsigned: {accepted(model)!r}."
    )


def verify(data: bytes, model: Committed, trusted: Trusted, *, key: str) -> Signature:
    """A signature that a trusted key has made of this very model.

    Args:
        data: the signature, as it is stored.
        key: where it lies, for messages.

    Raises:
        InputError: it is no signature, one of another manifest, one of a key that is not trusted, or not made by the
            key that it names; or its certificate does not hold.
    """
    claim = read_signature(data, key=key)
    if claim.digest != model.sha256:
        raise InputError(
            f"{key} is a signature of another manifest than {model.manifest.key}: it is of sha256 "
            f"{claim.digest[:16]}…, the manifest has {model.sha256[:16]}…. Somebody has changed the manifest since it "
            "was signed, or put the signature of another model here."
        )
    public = trusted.keys.get(claim.key_id) if not claim.chain else None
    if not claim.chain and public is None:
        raise InputError(
            f"{key} was made with key {claim.key_id}, which is not among the trusted ones "
            f"({', '.join(trusted.keys) or 'no keys'}). Add it to signing.trusted if you know whose it is, or sign the "
            "model again with `carpipe weights sign`."
        )
    config = _library().verifying.Config()
    with _laid_out(model) as folder:
        signature, pem = folder.parent / SIGNATURE, folder.parent / "trusted.pem"
        signature.write_bytes(data)
        if public is not None:
            pem.write_bytes(public)
            _verified(lambda: config.use_elliptic_key_verifier(public_key=pem).verify(folder, signature), key, claim)
        else:
            trusted.check_chain(claim.chain, key=key)
            pem.write_bytes(b"\n".join(trusted.authorities))
            use = config.use_certificate_verifier
            _verified(lambda: use(certificate_chain=[pem]).verify(folder, signature), key, claim)
    return claim


def accepted(model: Committed) -> str:
    """What `signing.accept_unsigned` must name to accept this very model."""
    return f"{model_id(model.manifest.key)}={model.sha256}"


def _is_accepted(model: Committed, config: SigningConfig) -> bool:
    return bool({model_id(model.manifest.key), accepted(model)} & set(config.accept_unsigned))


def _candidates(where: Where, trusted: Trusted) -> Iterator[str]:
    """Names of the first signature, then of others that a trusted key or authority may have made."""
    names = [SIGNATURE, *map(other_name, trusted.keys)]
    yield from names
    if trusted.authorities:  # whose keys have ids that nobody knows beforehand
        yield from (name for name in where.others() if name not in names)


def _verified(verification: Callable[[], None], key: str, claim: Signature) -> None:
    from cryptography.exceptions import InvalidSignature

    try:
        with looking_at(f"The signature {key}"):
            verification()
    except InvalidSignature:
        raise InputError(
            f"{key} was not made by the key that it names, {claim.by}: somebody has changed it, or made it up."
        ) from None
    except UnavailableError:
        raise
    except Exception as error:  # whatever a hostile bundle makes the library stumble over
        reason = str(error).strip().rstrip(".") or type(error).__name__
        raise InputError(f"{key} does not prove who made the model: {reason}.") from None


def _there(place: InBucket, name: str) -> bytes | None:
    """A signature by its name, None where there is none; nothing where it is too large to be one."""
    try:
        return place.read(name)
    except TooLargeError:
        return b""


def _is_by(data: bytes, key: SigningKey, where: str) -> bool:
    """Whether a signature says that it is by this key, or is none at all: then it may be made anew."""
    try:
        return read_signature(data, key=where).key_id == key.id
    except InputError:
        return True


def _holds(data: bytes, model: Committed, key: SigningKey) -> bool:
    """Whether this key has made the signature, of this manifest."""
    trusted = Trusted({key.id: key.public}, ())
    try:
        claim = read_signature(data, key=SIGNATURE)
        # With a certificate it is simply made again: whether that is good is for its readers to judge.
        return not claim.chain and not key.certificates and bool(verify(data, model, trusted, key=SIGNATURE))
    except InputError:
        return False


@contextmanager
def _laid_out(model: Committed) -> Iterator[Path]:
    """A folder with the manifest alone, named as the model, as it is signed; there is room beside it."""
    with tempfile.TemporaryDirectory(prefix="carpipe-signature-") as scratch:
        folder = Path(scratch) / "model" / model_id(model.manifest.key)
        folder.mkdir(parents=True)
        (folder / MANIFEST).write_bytes(model.data)
        yield folder


def _library() -> Any:
    try:
        import model_signing
    except ImportError as error:
        raise ConfigError(
            f"Signatures need the package model-signing, which cannot be loaded here ({error}); install carpipe with "
            'the extra `signing`: pip install "<clone>[client,signing]".'
        ) from None
    return model_signing
