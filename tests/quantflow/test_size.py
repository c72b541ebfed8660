"""Bytes of parameters, worked by hand."""

import numpy as np

from quantflow.arithmetic import Format
from quantflow.quantized import QuantizedLayer
from quantflow.size import bias_bits, network_bytes, parameter_bytes
from tests.quantflow.branched import branched


def layer(weight, bias, bits):
    count = len(bias)
    return QuantizedLayer(
        name="fc",
        weight_bits=bits,
        weight=np.array(weight, np.int32),
        weight_fl=np.zeros(count, np.int32),
        bias=np.array(bias, np.int64),
        output=Format(bits=8, fl=0),
    )


def test_weights_and_biases_at_their_width():
    two = layer([[1, -2, 3], [0, 0, -4]], [-129, 5], bits=3)  # -129 needs 9 bits
    assert bias_bits(two) == 9
    assert parameter_bytes(two) == 5  # 6 * 3 + 2 * 9 = 36 bits


def test_a_network_is_the_sum_of_its_layers():
    tuned = branched()
    assert network_bytes(tuned) == sum(parameter_bytes(entry) for entry in tuned.layers.values()) > 0
