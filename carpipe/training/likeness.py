"""How like its classes a photo looks to a network, by the features that the last layer decides on."""

from typing import Any

import keras


def features_of(network: Any) -> Any | None:
    """The input (n, features) of the network's softmax layer; None where it does not end in one, as carpipe's do."""
    head = network.layers[-1]
    if isinstance(head, keras.layers.Dense) and head.activation is keras.activations.softmax:
        return head.input
    return None


def with_likeness(network: Any, middle: Any, directions: Any) -> Any:
    """The network with a second output `likeness`, float32 (n, 1), after its probabilities.

    That is the cosine to the nearest of the `directions` (classes, features), once `middle` (features,) is taken off;
    see `carpipe.evaluation.likeness`.

    Raises:
        ValueError: the network has no features of its own, or others than those.
    """
    features = features_of(network)
    if features is None or features.shape[-1] != directions.shape[1]:
        raise ValueError(f"{network.name} has no features (n, {directions.shape[1]})")
    likeness = Likeness(middle, directions, name="likeness")(features)
    return keras.Model(network.inputs, [network.output, likeness], name=f"{network.name}_with_likeness")


class Likeness(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Features (n, features) in, the cosine (n, 1) out.

    One layer, since operations of its own could have names that the network's have: a loaded one keeps its names.
    """

    def __init__(self, middle: Any, directions: Any, **settings: Any):
        super().__init__(**settings)
        self._middle, self._directions = middle, directions.T

    def call(self, features: Any) -> Any:
        """The cosine to the nearest direction."""
        shifted = features - keras.ops.convert_to_tensor(self._middle)
        length = keras.ops.sqrt(keras.ops.sum(shifted * shifted, axis=1, keepdims=True))
        unit = shifted / keras.ops.maximum(length, 1e-12)
        cosines = keras.ops.matmul(unit, keras.ops.convert_to_tensor(self._directions))
        return keras.ops.max(cosines, axis=1, keepdims=True)
