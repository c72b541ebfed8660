"""What the machine does not compute, where the tuner and the integer engine do.

It is refused by its layer's name, before anything is compiled. What is not exact in the machine's arithmetic is
not computed at all: its results are the integer engine's.
"""

import numpy as np

from quantflow.errors import UserError
from quantflow.graph import Activation, Pad, Reshape


def check_machine(quantized):
    """Raise UserError for the first layer of a tuned network that the machine does not compute."""
    for layer in quantized.network.layers:
        reason = machine_lacks(layer)
        if reason is not None:
            raise UserError(f"layer {layer.name} {reason}, which the machine does not support yet")


def machine_lacks(layer):
    """What about a layer the machine does not compute, as words behind its name; None if there is nothing."""
    if isinstance(layer, Activation) and not (np.all(layer.slope == 0) or np.all(layer.slope == 1)):
        other = layer.slope[(layer.slope != 0) & (layer.slope != 1)]
        return f"has a slope of {other[0]:g} for negative numbers" if len(other) else "has slopes of both 0 and 1"
    if isinstance(layer, Pad) and layer.value != 0:
        return f"pads with {layer.value:g}"
    if isinstance(layer, Reshape) and layer.output_shape != layer.input_shape and layer.output_shape[1:] != (1, 1):
        return f"reshapes a map to {'x'.join(map(str, layer.output_shape))}"
    return None
