"""The compiler's proof that every integer of the network fits the machine's registers."""

import numpy as np

from quantflow.accumulation import MAX_LEFT_SHIFT
from quantflow.arithmetic import signed_bits
from quantflow.errors import UserError
from quantflow.isa import Operation

MAX_DROPPED_BITS = 31  # what the instruction's field holds


def check_widths(stages, maps, config):
    """UserError names the first map or layer whose activations, weights, sums or shifts are too wide."""
    for name, map_ in maps.items():
        _check(f"the map {name}", "activations", map_.format.bits, config.activation_bits)
    for stage in stages:
        if stage.operation != Operation.CONVOLVE:
            continue
        where = f"layer {stage.name}"
        _check(where, "weights", stage.weight_bits, config.weight_bits)
        _check(where, "sums", sum_bits(stage, maps, config), config.accumulator_bits)
        for shift in (stage.shift.min(), stage.shift.max()):
            if not -MAX_LEFT_SHIFT <= shift < config.accumulator_bits:
                raise UserError(
                    f"{where} shifts its sums by {shift} bits; "
                    f"the machine shifts by {-MAX_LEFT_SHIFT} to {config.accumulator_bits - 1}"
                )
        if stage.dropped_bits > MAX_DROPPED_BITS:
            raise UserError(
                f"{where} clears {stage.dropped_bits} bits of its sums; the machine clears {MAX_DROPPED_BITS}"
            )


def _check(where, what, needed, available):
    if needed > available:
        raise UserError(f"{where} has {what} of {needed} bits; the machine has {available}")


def sum_bits(stage, maps, config):
    """Width of accumulators that no input can overflow, in any pass and order, from the stage's real words.

    Pass by pass each output channel's sums lie in [low, high], both 0 at first: shifted left, then widened by
    w * max(x) and w * min(x) of every word's weight. As x may be 0, and 0 lies in the interval, every partial
    sum does too; the bias alone, and sums with the bias, are covered as well.
    """
    source = maps[stage.source.map].format
    low = high = np.zeros(len(stage.bias))
    widest = [0, 0]
    for number, (words, format, shifts) in enumerate(_passes(stage, maps, source)):
        if number and shifts:
            low, high = low * 2**config.pass_shift, high * 2**config.pass_shift
        positive, negative = _sums(words, np.maximum), _sums(words, np.minimum)
        low = low + positive * format.min + negative * format.max
        high = high + positive * format.max + negative * format.min
        widest = [min(widest[0], low.min()), max(widest[1], high.max())]
    low, high = low + np.minimum(stage.bias, 0), high + np.maximum(stage.bias, 0)
    return signed_bits(min(widest[0], low.min()), max(widest[1], high.max()))


def _passes(stage, maps, source):
    """(words [block, step, out, in], the format of what they multiply, whether sums shift before) of each pass."""
    if stage.uniform:
        for word in stage.words[0]:
            yield np.broadcast_to(word, (stage.output_blocks, stage.kernel_steps, *word.shape)), source, True
        return
    at = 0
    if stage.residual is not None:
        format = maps[stage.residual.view.map].format
        for _ in range(stage.residual.passes):
            yield stage.words[:, at : at + stage.residual.blocks], format, True
            at += stage.residual.blocks
    for number in range(stage.passes):
        shifts = number > 0 or stage.residual is None or not stage.residual.aligned
        yield stage.words[:, at : at + stage.kernel_steps], source, shifts
        at += stage.kernel_steps


def _sums(words, part):
    """Of each output channel's positive or negative weights: float64 [output blocks * lanes]."""
    return part(words, 0).sum(axis=(1, 3), dtype=np.float64).reshape(-1)
