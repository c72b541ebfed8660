"""What the fixed-point side computes so far, where the float side imports and runs more.

Whatever is not named here as supported is refused by its layer's name, before anything is computed.
"""

from quantflow.errors import UserError
from quantflow.graph import Convolution, Dense, MaxPool, Rectified


def check_supported(network, part):
    """Raise UserError for the first layer of `network` that `part`, "the tuner" say, does not compute."""
    for layer in network.layers:
        reason = unsupported(layer)
        if reason is not None:
            raise UserError(f"layer {layer.name} {reason}, which {part} does not support yet")


def unsupported(layer):
    """What about a layer only the float engine computes, as words behind its name; None if there is nothing."""
    if not isinstance(layer, Convolution | Dense | MaxPool):
        kind = type(layer).__name__
        return f"is {'an' if kind[0] in 'AEIOU' else 'a'} {kind}"
    if len(layer.inputs) != 1:
        return f"reads {len(layer.inputs)} maps"
    if isinstance(layer, Convolution) and layer.groups != 1:
        return f"has {layer.groups} groups"
    if isinstance(layer, Convolution | MaxPool) and layer.window.dilation != (1, 1):
        return f"has a dilation of {layer.window.dilation[0]}x{layer.window.dilation[1]}"
    if isinstance(layer, Rectified) and layer.maximum is not None:
        return f"has an upper bound of {layer.maximum:g} in its activation"
    return None
