"""What a network says beside the class, by the features that the last layer decides on.

How like its classes a photo looks, and how much newer a car than others. The probabilities stay what they are.
"""

from typing import Any

import keras


def features_of(network: Any) -> Any | None:
    """The input (n, features) of the network's softmax layer; None where it does not end in one, as carpipe's do."""
    head = network.layers[-1]
    if isinstance(head, keras.layers.Dense) and head.activation is keras.activations.softmax:
        return head.input
    return None


def with_heads(network: Any, *, means: tuple[Any, Any] | None = None, newer: tuple[Any, Any] | None = None) -> Any:
    """The network with one or two outputs more, float32 (n, 1) each, after its probabilities.

    Args:
        means: `middle` (features,) and `directions` (classes, features): the output `likeness` is the cosine to the
            nearest of the directions, once the middle is taken off; see `carpipe.evaluation.likeness`.
        newer: `middle` and `weights` (features,): the output `year` is the sum of features by weight, once the middle
            is taken off; see `carpipe.evaluation.years`.

    Raises:
        ValueError: the network has no features of its own, or others than those.
    """
    heads = [Likeness(*means, name="likeness")] if means else []
    heads += [Newer(*newer, name="year")] if newer else []
    features = features_of(network)
    for head in heads:
        if features is None or features.shape[-1] != head.features:
            raise ValueError(f"{network.name} has no features (n, {head.features})")
    more = [head(features) for head in heads]
    return keras.Model(network.inputs, [network.output, *more], name=f"{network.name}_with_heads")


class Likeness(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Features (n, features) in, the cosine (n, 1) out.

    One layer, since operations of its own could have names that the network's have: a loaded one keeps its names.
    """

    def __init__(self, middle: Any, directions: Any, **settings: Any):
        super().__init__(**settings)
        self._middle, self._directions = middle, directions.T
        self.features = len(middle)

    def call(self, features: Any) -> Any:
        """The cosine to the nearest direction."""
        shifted = features - keras.ops.convert_to_tensor(self._middle)
        length = keras.ops.sqrt(keras.ops.sum(shifted * shifted, axis=1, keepdims=True))
        unit = shifted / keras.ops.maximum(length, 1e-12)
        cosines = keras.ops.matmul(unit, keras.ops.convert_to_tensor(self._directions))
        return keras.ops.max(cosines, axis=1, keepdims=True)


class Newer(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Features (n, features) in, by how many years a car looks newer than others (n, 1) out."""

    def __init__(self, middle: Any, weights: Any, **settings: Any):
        super().__init__(**settings)
        self._middle, self._weights = middle, weights[:, None]
        self.features = len(middle)

    def call(self, features: Any) -> Any:
        """The sum of features by weight."""
        shifted = features - keras.ops.convert_to_tensor(self._middle)
        return keras.ops.matmul(shifted, keras.ops.convert_to_tensor(self._weights))
