"""Signatures of models, by hand: sign an old model or with another key, and say who has signed one."""

from carpipe import manifest
from carpipe.errors import ConfigError, InputError, MissingError
from carpipe.steps.models.weights import find_committed
from carpipe.steps.session import Session
from carpipe.weights import signing
from carpipe.weights.channel import Committed
from carpipe.weights.signatures import InBucket, Signature
from carpipe.weights.signing_keys import load_key


def sign_weights(session: Session, name: str, model: str | None) -> str:
    """Sign a model whose files are those of its manifest, and whose manifest is the one that was live; says so.

    Args:
        model: id or manifest key; None means the live one.

    Raises:
        InputError: it is not what was published.
        ConfigError: there is no key to sign with.
    """
    key = load_key(session.config.signing, session.signing_key)
    if key is None:
        raise ConfigError("There is no key to sign with; name its PEM file in signing.key, or with --key.")
    found = find_committed(session, name, model)
    files = check_files(session, found)
    place = signing.sign(session.store, found, key)
    return f"{found.manifest.key}\n  {files}\n  signed with key {key.id}: {place}"


def verify_weights(session: Session, name: str, model: str | None) -> str:
    """Hold a model's manifest against its release, its files against the manifest, and its signature against the keys.

    Returns:
        What was found, as text.

    Raises:
        InputError: one of that is not as it must be; says which.
    """
    found = find_committed(session, name, model)
    files = check_files(session, found)
    signature = signing.find(found, InBucket(session.store, found.manifest.key), session.config.signing)
    lines = [found.manifest.key, f"  manifest sha256 {found.sha256}", f"  {files}", f"  {_said(signature)}"]
    return "\n".join(lines)


def check_files(session: Session, model: Committed) -> str:
    """Hold every file of a model against its manifest; says how many. Raises InputError for the first that differs."""
    for entry in model.manifest.files.values():
        try:
            manifest.verified(session.store, entry)
        except MissingError:
            raise InputError(f"{entry['key']}, which {model.manifest.key} names, is gone.") from None
    return f"{len(model.manifest.files)} files are what the manifest says"


def _said(signature: Signature | None) -> str:
    if signature is None:
        return "not signed, and accepted as that by signing.accept_unsigned"
    return f"signed by {signature.by}: {signature.key}"
