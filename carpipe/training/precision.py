"""What the layers of a network compute in: a file says it of each, and who loads it may want another precision."""

from collections.abc import Callable
from typing import Any


def with_policy(network: Any, policy: str, *, replaces: Callable[[Any], bool]) -> Any:
    """A copy of a Keras network with the same weights.

    Args:
        policy: name of a dtype policy, such as `mixed_float16`.
        replaces: whether a policy is to be replaced, by its configuration.
    """
    copy = type(network).from_config(_rewritten(network.get_config(), policy, replaces))
    copy.set_weights(network.get_weights())
    return copy


def _rewritten(value: Any, policy: str, replaces: Callable[[Any], bool]) -> Any:
    if isinstance(value, dict):
        if value.get("class_name") == "DTypePolicy" and replaces(value.get("config")):
            return {**value, "config": {"name": policy}}
        return {name: _rewritten(item, policy, replaces) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_rewritten(item, policy, replaces) for item in value)
    return value
