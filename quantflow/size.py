"""What a tuned network's numbers weigh: weights at their own width, biases at the width that they need."""

from quantflow.arithmetic import signed_bits


def bias_bits(quantized_layer):
    """Width of the narrowest two's-complement integer that holds every bias of the layer."""
    bias = quantized_layer.bias
    return signed_bits(int(bias.min()), int(bias.max()))


def parameter_bytes(quantized_layer):
    """Bytes of the layer's weights and biases, packed without gaps and rounded up to whole bytes."""
    bits = quantized_layer.weight.size * quantized_layer.weight_bits
    bits += quantized_layer.bias.size * bias_bits(quantized_layer)
    return -(-bits // 8)


def network_bytes(quantized):
    """Bytes of all layers' parameters, each layer beginning at a byte of its own."""
    return sum(map(parameter_bytes, quantized.layers.values()))
