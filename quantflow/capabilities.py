"""What the machine computes so far, where the tuner and the integer engine compute more.

Whatever is not named here as supported is refused by its layer's name, before anything is compiled.
"""

import numpy as np

from quantflow.errors import UserError
from quantflow.graph import Convolution, Dense, MaxPool, Rectified


def check_machine(quantized):
    """Raise UserError for the first layer of a tuned network that the machine does not compute."""
    if not quantized.input.signed:
        raise UserError("the network's input is unsigned, which the machine does not support yet")
    for layer in quantized.network.layers:
        reason = machine_lacks(layer)
        if reason is None and not quantized.output_format(layer.name).signed:
            reason = "gives unsigned numbers"
        if reason is not None:
            raise UserError(f"layer {layer.name} {reason}, which the machine does not support yet")


def machine_lacks(layer):
    """What about a layer the machine does not compute, as words behind its name; None if there is nothing."""
    if not isinstance(layer, Convolution | Dense | MaxPool):
        kind = type(layer).__name__
        return f"is {'an' if kind[0] in 'AEIOU' else 'a'} {kind}"
    if len(layer.inputs) != 1:
        return f"adds the map {layer.inputs[1]} to its sums"
    if isinstance(layer, Convolution) and layer.groups != 1:
        return f"has {layer.groups} groups"
    if isinstance(layer, Convolution | MaxPool) and layer.window.dilation != (1, 1):
        return f"has a dilation of {layer.window.dilation[0]}x{layer.window.dilation[1]}"
    if isinstance(layer, Rectified) and layer.maximum is not None:
        bound = f"{layer.maximum:g}" if np.ndim(layer.maximum) == 0 else "its own for each channel"
        return f"has an upper bound of {bound} in its activation"
    return None
