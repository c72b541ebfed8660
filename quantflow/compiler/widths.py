"""The compiler's proof that every integer of the network fits the machine's registers."""

from quantflow.accumulation import MAX_LEFT_SHIFT, accumulator_bits
from quantflow.errors import UserError
from quantflow.isa import Operation


def check_widths(stages, quantized, config):
    """UserError names the first layer whose operands, sums or shifts are too wide."""
    network = quantized.network
    _check("the network's input", "activations", quantized.input.bits, config.activation_bits)
    for stage in stages:
        _check(f"layer {stage.name}", "activations", stage.output_bits, config.activation_bits)
        if stage.operation != Operation.CONVOLVE:
            continue
        _check(f"layer {stage.name}", "weights", stage.weight_bits, config.weight_bits)
        name = stage.layers[0]
        needed = accumulator_bits(quantized.layers[name], quantized.output_format(network[name].inputs[0]))
        _check(f"layer {stage.name}", "sums", needed, config.accumulator_bits)
        for shift in (stage.shift.min(), stage.shift.max()):
            if not -MAX_LEFT_SHIFT <= shift < config.accumulator_bits:
                raise UserError(
                    f"layer {stage.name} shifts its sums by {shift} bits; "
                    f"the machine shifts by {-MAX_LEFT_SHIFT} to {config.accumulator_bits - 1}"
                )


def _check(where, what, needed, available):
    if needed > available:
        raise UserError(f"{where} has {what} of {needed} bits; the machine has {available}")
