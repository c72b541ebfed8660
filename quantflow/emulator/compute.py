"""What a compute instruction does to the scratchpads: the loop nest of `isa.Compute`, vectorized."""

import numpy as np

from quantflow.arithmetic import round_half_even_shift, signed_bits
from quantflow.emulator.gather import residual_taps, source_taps
from quantflow.emulator.scatter import scatter
from quantflow.emulator.scratchpads import EmulationError
from quantflow.isa import Operation

GROUP_LOOPS = ("output_blocks", "output_rows", "output_groups", "window_rows", "window_columns")
TAP_VALUES = 1 << 23  # how many taps' values are held at once: rows are computed in batches


def compute(pads, instruction):
    """Perform a compute instruction on `pads` (Scratchpads); EmulationError for what it may not do."""
    _check(pads, instruction)
    columns = instruction.output_groups * pads.config.pixels
    taps = instruction.kernel_rows * instruction.kernel_columns * instruction.input_blocks * pads.config.lanes
    batch = max(1, TAP_VALUES // (columns * taps))
    for first in range(0, instruction.output_rows, batch):
        _compute_rows(pads, instruction, np.arange(first, min(first + batch, instruction.output_rows)))


def _check(pads, instruction):
    """What the machine, too, refuses to begin."""
    maximum, adds = instruction.operation == Operation.MAXIMUM, instruction.residual_passes > 0
    carried = instruction.continues or instruction.partial
    if instruction.operation not in list(Operation):
        raise EmulationError(f"operation {instruction.operation} does not exist")
    if carried and any(getattr(instruction, loop) != 1 for loop in GROUP_LOOPS):
        raise EmulationError("sums that are carried on from instruction to instruction are those of one group")
    if instruction.uniform and adds:
        raise EmulationError("uniform weights have no residual beside them")
    if maximum and (carried or adds):
        raise EmulationError("a maximum has no sums: nothing is added to it or carried on")


def _compute_rows(pads, instruction, rows):
    """Some of the output rows, all blocks."""
    shared = not instruction.output_block_stride  # all blocks read the same taps
    cached = {}
    for block in range(instruction.output_blocks):
        best = None
        for wy in range(instruction.window_rows):
            for wx in range(instruction.window_columns):
                key = (wy, wx)
                if not shared or key not in cached:
                    cached[key] = source_taps(pads, instruction, rows, block, wy, wx)
                result = _results(pads, instruction, rows, block, *cached[key])
                if result is None:
                    return
                best = result if best is None else _greater(pads, instruction, best, result)
        scatter(pads, instruction, rows, block, pads.as_word(best))


def _greater(pads, instruction, a, b):
    unsigned = instruction.least >= 0
    return np.maximum(pads.as_operand(a, unsigned), pads.as_operand(b, unsigned))


def _results(pads, instruction, rows, block, taps, inside):
    """Words [oy, og, p, lanes] of one window position, or None where the sums stay in the accumulators."""
    if instruction.operation == Operation.MAXIMUM:
        return np.where(inside[..., None], taps, instruction.least).max(axis=(3, 4, 5), initial=instruction.least)
    sums = _sums(pads, instruction, rows, block, np.where(inside[..., None], taps, 0))
    if instruction.partial:
        pads.accumulators = sums[0, 0]
        return None
    row = pads.parameter_range(instruction.parameter_address + block, 1)
    totals = (sums + pads.bias[row]) >> instruction.dropped_bits << instruction.dropped_bits
    return np.clip(round_half_even_shift(totals, pads.shift[row]), instruction.least, pads.greatest[row])


def _sums(pads, instruction, rows, block, taps):
    """Accumulators [oy, og, p, lanes] of one window position, int64."""
    address = _WeightAddress(pads, instruction, block)
    sums = np.zeros((*taps.shape[:3], pads.config.lanes), np.int64)
    if instruction.continues:
        sums = sums + pads.accumulators
    values = taps.reshape(*taps.shape[:3], -1, pads.config.lanes)
    digits = [(values, True)] * instruction.passes
    if instruction.residual_passes:
        digits = [(residual_taps(pads, instruction, rows, block), False)] * instruction.residual_passes + digits
    for number, (operands, uniform) in enumerate(digits):
        aligned = instruction.residual_aligned and number == instruction.residual_passes
        if number and not aligned:
            sums = sums << pads.config.pass_shift
        sums = sums + _products(operands, address.take(operands.shape[3], uniform=uniform))
    if signed_bits(sums.min(), sums.max()) > pads.config.accumulator_bits:
        raise EmulationError(f"an accumulator exceeds {pads.config.accumulator_bits} bits")
    return sums


def _products(values, weights):
    """Sums over steps and input channels: [oy, og, p, steps, in] by [steps, out, in], exact in float64.

    Operands have at most 17 bits, and fewer than 2**20 products are summed.
    """
    matrix = weights.transpose(0, 2, 1).reshape(-1, weights.shape[1]).astype(np.float64)
    return (values.reshape(*values.shape[:3], -1).astype(np.float64) @ matrix).astype(np.int64)


class _WeightAddress:
    """Takes the weight words of an output block in the order of its steps."""

    def __init__(self, pads, instruction, block):
        self.pads, self.uniform = pads, instruction.uniform
        steps = instruction.kernel_rows * instruction.kernel_columns * instruction.input_blocks
        words = instruction.residual_passes * instruction.residual_blocks + instruction.passes * steps
        self.next = instruction.weight_address + (0 if self.uniform else block * words)

    def take(self, steps, uniform=False):
        """Words [steps, out, in] of the next steps."""
        count = 1 if uniform and self.uniform else steps
        words = self.pads.weights[self.pads.weight_range(self.next, count)]
        self.next += count
        return np.broadcast_to(words, (steps, *words.shape[1:]))
