"""From the tuned network's layers to the machine's stages.

    check_machine → Lowering (every layer) → fuse_pooling → fold_input

Slices and paddings have no stages of their own where their readers can read past them, and a map that
is concatenated is written where the concatenation wants it.
"""

from quantflow.capabilities import check_machine
from quantflow.compiler.lowering.folding import Fold, fold_input
from quantflow.compiler.lowering.layers import LOWER
from quantflow.compiler.lowering.lowering import Lowering
from quantflow.compiler.lowering.pooling import fuse_pooling
from quantflow.graph import Pad, Reshape, Slice

__all__ = ["Fold", "fold_input", "fuse_pooling", "lower"]


def lower(quantized, config):
    """The stages of a QuantizedNetwork in execution order, the FeatureMaps by name, and the input's Fold or None.

    Map names are those of layers and of the network's input; the last layer's map always exists. Raises UserError,
    naming the layer, for what the machine does not compute.
    """
    check_machine(quantized)
    network, lowering = quantized.network, Lowering(quantized, config)
    for layer in network.layers:
        if not isinstance(layer, Pad | Reshape | Slice):  # which their readers look through
            LOWER[type(layer)](lowering, layer)
    lowering.materialize(lowering.gather(network.layers[-1].name), network.layers[-1].name)
    stages, maps = fuse_pooling(lowering.stages, lowering.maps, network.layers[-1].name, config)
    return fold_input(stages, maps, network.input_name, config)
