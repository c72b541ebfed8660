"""What widths cost, without tuning for them: bytes of parameters, of feature maps, cycles on a machine.

Costs are functions of Widths, made from one tuned network. They are exact but for the biases, whose width
follows from fractional lengths that are known only when the network is tuned.
"""

import math
from dataclasses import dataclass, replace

from quantflow.arithmetic import saturate
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.cycles import MemoryTiming, estimate
from quantflow.size import bias_bits


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The accelerator whose cycles count, and the memory that it reads."""

    config: Config
    timing: MemoryTiming

    def cycles(self, quantized):
        """Estimated cycles of one image, weights read from memory; UserError where the network does not compile."""
        return estimate(compile_network(quantized, self.config), self.timing).cycles


class ParameterBytes:
    """Bytes of all weights and biases: a bias is taken to lose as many bits as its layer's weights."""

    def __init__(self, quantized):
        self._layers = {
            name: (layer.weight.size, layer.bias.size, bias_bits(layer) - layer.weight_bits)
            for name, layer in quantized.layers.items()
        }

    def __call__(self, widths):
        return sum(self._bytes(name, bits) for name, bits in widths.weight_bits.items())

    def _bytes(self, name, bits):
        weights, biases, more = self._layers[name]
        return -(-(weights * bits + biases * max(1, bits + more)) // 8)


class MemoryBytes:
    """Bytes of all parameters, and of every feature map that has a width of its own, for one image."""

    def __init__(self, quantized):
        self._network, self._parameters = quantized.network, ParameterBytes(quantized)

    def __call__(self, widths):
        return self._parameters(widths) + map_bytes(self._network, widths)


def map_bytes(network, widths):
    """Bytes of all feature maps of one image that have a width of their own, the input among them."""
    shapes = {layer.name: layer.output_shape for layer in network.layers} | {network.input_name: network.input_shape}
    return sum(-(-math.prod(shapes[name]) * bits // 8) for name, bits in widths.activation_bits.items())


class Cycles:
    """Cycles of one image on a Machine.

    The network that the cost is made from stands in for all others, its weights cut to their widths. Weights
    are read at the next width that the machine unpacks, so all widths up to it cost the same.
    """

    def __init__(self, quantized, machine):
        self._quantized, self._machine = quantized, machine
        self._known = {}

    def __call__(self, widths):
        read = {name: self._in_memory(bits) for name, bits in widths.weight_bits.items()}
        key = tuple(read.values())
        if key not in self._known:
            self._known[key] = self._machine.cycles(self._stand_in(read))
        return self._known[key]

    def _in_memory(self, bits):
        return next((width for width in self._machine.config.weight_widths if width >= bits), bits)

    def _stand_in(self, bits):
        layers = {
            name: replace(layer, weight_bits=bits[name], weight=saturate(layer.weight, bits[name]))
            for name, layer in self._quantized.layers.items()
        }
        return replace(self._quantized, layers=layers)
