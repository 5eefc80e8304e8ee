"""How familiar a photo looks to a network: its energy, one number beside the probabilities.

Softmax takes it away: a photo of nothing that the network knows may still be 90 % of some class. So it is computed
before that, in the same forward pass.
"""

from typing import Any

import keras


def with_energy(network: Any) -> Any:
    """The network with one output column more: float32 (n, classes + 1), the last is the energy.

    That is -log(sum(exp(logits))): the lower, the more familiar. NaN where the network does not end in a softmax layer
    of its own, as carpipe's do. Source: W. Liu et al., "Energy-based Out-of-distribution Detection", NeurIPS 2020.
    """
    head = network.layers[-1]
    probabilities = network.output
    if isinstance(head, keras.layers.Dense) and head.activation is keras.activations.softmax:
        linear = keras.layers.Dense(head.units, use_bias=head.use_bias, dtype=head.dtype_policy, name="logits")
        logits = linear(head.input)
        linear.set_weights(head.get_weights())
        energy = -keras.ops.logsumexp(logits, axis=1, keepdims=True)
    else:
        energy = keras.ops.full_like(probabilities[:, :1], float("nan"))
    both = keras.ops.concatenate([probabilities, energy], axis=1)
    return keras.Model(network.inputs, both, name=f"{network.name}_with_energy")
