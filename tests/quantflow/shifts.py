"""The shifts from a layer's sums to its output, which follow from the formats."""

from quantflow.accumulation import accumulator_fl


def shifts(quantized, name):
    """Those of each output channel, to the right where positive: int32 [O]."""
    return accumulator_fl(quantized, quantized.network[name]) - quantized.output_format(name).fl
