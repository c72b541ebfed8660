"""Which maps are written straight into the map of a concatenation."""

from quantflow.compiler.stage import blocks
from quantflow.graph import Activation, Add, AveragePool, Concat, Convolution, Dense, MaxPool

PRODUCERS = (Activation, Add, AveragePool, Concat, Convolution, Dense, MaxPool)


def parents(quantized, config):
    """By layer name, the Concat in whose map the layer's output lies and the block at which it begins.

    A part is written straight there if it begins at a block, shares no block with another part and has the
    concatenation's format, so that nothing is rounded in between. Its readers read it there.
    """
    network, found = quantized.network, {}
    layers = {layer.name: layer for layer in network.layers}
    for concat in network.layers:
        if not isinstance(concat, Concat):
            continue
        for name, first, stop in parts(concat, layers, network):
            direct = (
                isinstance(layers.get(name), PRODUCERS)
                and name not in found
                and quantized.output_format(name) == quantized.output_format(concat.name)
                and first % config.lanes == 0
                and (stop % config.lanes == 0 or stop == concat.output_shape[0])
            )
            if direct:
                found[name] = (concat.name, blocks(first, config.lanes))
    return found


def parts(concat, layers, network):
    """(name, first channel, channel behind the last) of each input of a Concat, in order."""
    first, found = 0, []
    for name in concat.inputs:
        shape = network.input_shape if name == network.input_name else layers[name].output_shape
        found.append((name, first, first + shape[0]))
        first += shape[0]
    return found
