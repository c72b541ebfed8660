"""Averages: sums times a reciprocal whose rounding is proved to be the mean's."""

from dataclasses import dataclass

import numpy as np

from quantflow.accumulation import output_range
from quantflow.arithmetic import signed_bits
from quantflow.compiler.lowering.digits import digits
from quantflow.compiler.lowering.gather import placed
from quantflow.compiler.lowering.pooling import aligned, never_negative
from quantflow.compiler.stage import Stage, View, blocks
from quantflow.correlation import tap_count
from quantflow.errors import UserError
from quantflow.isa import Operation


@dataclass(frozen=True, kw_only=True)
class Reciprocal:
    """y = round_half_even((sum * weight + bias) with its lowest `dropped_bits` bits cleared, shift)."""

    weight: int
    digits: tuple[int, ...]  # of the weight, in base 2**pass_shift, highest first
    shift: int
    dropped_bits: int
    bias: int


def reciprocal(taps, shift, sums, results, config):
    """The Reciprocal that gives round_half_even(sum / (taps * 2**shift)), clipped to `results`, for all `sums`.

    `sums` and `results` are the least and the greatest, 0 lying in between. Only those sums need care whose mean
    is not clipped: y never falls where the sum rises, so that what is clipped rightly stays so beyond.

    Let taps * 2**shift = n * 2**b with n odd. Where n is 1 the weight is 1 and b the shift. Else the weight is
    m = round(2**(t - b) / n) for a shift of t, so that n * m = 2**(t - b) + r and, v = sum / (n * 2**b) being the
    mean,

        sum * m + bias = v * 2**t + e,  e = sum * r / n + bias,  which lies in [e0, e1].

    A tie is a v of i + 1/2. Where b <= 0, v = sum * 2**-b / n is never a tie, as n is odd, and at least
    1 / (2 n) from each. So -2**t / (2 n) < e0 and e1 < 2**t / (2 n) keep each sum on its side; the bias
    puts [e0, e1] around 0.

    Where b > 0, there are ties, and a v that is none is at least 1 / (n * 2**b) from each. Let d < t be such that
    2**d is at most G = 2**t / (n * 2**b). A tie times 2**t is a multiple of 2**d, so clearing d bits takes e away
    from it if 0 <= e0 and e1 < 2**d. A v above a tie gives at least G + e0 >= 2**d more than the tie and so stays
    above it when bits are cleared; a v below gives at most -G + e1 < 0 and stays below. The least bias with
    0 <= e0 is taken.

    The smallest t that fulfils this is taken, having the fewest digits. Raises ValueError where the configuration's
    accumulators cannot hold the products of any.
    """
    odd, b = taps, shift
    while odd % 2 == 0:
        odd, b = odd // 2, b + 1
    if odd == 1:
        return Reciprocal(weight=1, digits=(1,), shift=b, dropped_bits=0, bias=0)
    low, high = _not_clipped(taps, shift, sums, results)
    for t in range(max(b, 0), config.accumulator_bits):
        power = 1 << (t - b)
        weight = (2 * power + odd) // (2 * odd)
        rest = odd * weight - power
        least, most = sorted((low * rest, high * rest))  # of e without the bias, times n
        dropped = max(0, (power // odd).bit_length() - 1) if b > 0 else 0
        bias = -(least // odd) if b > 0 else -((least + most) // (2 * odd))
        least, most = least + bias * odd, most + bias * odd
        fits = dropped and most < odd << dropped if b > 0 else -(1 << t) < 2 * least and 2 * most < 1 << t
        if fits:
            if signed_bits(sums[0] * weight + min(0, bias), sums[1] * weight + max(0, bias)) > config.accumulator_bits:
                break
            passes = max(1, -(-weight.bit_length() // config.pass_shift))
            split = tuple(int(digit) for digit in digits(np.int64(weight), passes, config))
            return Reciprocal(weight=weight, digits=split, shift=t, dropped_bits=dropped, bias=bias)
    raise ValueError(f"accumulators of {config.accumulator_bits} bits are too few for a mean of {taps} numbers")


def _not_clipped(taps, shift, sums, results):
    """The least and the greatest sum up to which means are to be exact: from there on they are clipped."""
    below, above = results[0] * taps, -results[1] * taps
    low, high = (value << shift if shift > 0 else value >> -shift for value in (below, above))
    return max(sums[0], low), min(sums[1], -high)


def lower_average(lowering, layer):
    """A stage for each rectangle of results that count equally many taps: one, unless padding is left out."""
    counts = np.broadcast_to(tap_count(layer), layer.output_shape[1:]).astype(int)
    uniform = counts.min() == counts.max()
    seen = aligned(lowering, layer.inputs[0], zeros=uniform)
    destination = lowering.written(layer.name)
    for rows in _runs(counts):
        for columns in _runs(counts[rows.start : rows.start + 1].T):
            taps = int(counts[rows.start, columns.start])
            lowering.stages.append(_stage(lowering, layer, seen, destination, rows, columns, taps))


def _runs(counts):
    """Slices of neighbouring rows that are equal."""
    edges = [0, *(np.flatnonzero((counts[1:] != counts[:-1]).any(axis=1)) + 1).tolist(), len(counts)]
    return [slice(start, stop) for start, stop in zip(edges, edges[1:], strict=False)]


def _stage(lowering, layer, seen, destination, rows, columns, taps):
    config, quantized = lowering.config, lowering.quantized
    source, format = quantized.output_format(layer.inputs[0]), quantized.output_format(layer.name)
    least, greatest = output_range(layer, format)
    lowest = 0 if never_negative(lowering, seen.map) else source.min
    sums, results = (lowest * taps, source.max * taps), (least, int(np.max(greatest)))
    try:
        found = reciprocal(taps, source.fl - format.fl, sums, results, config)
    except ValueError as error:
        raise UserError(f"layer {layer.name}: {error}") from None
    channels = layer.output_shape[0]
    shape = (channels, rows.stop - rows.start, columns.stop - columns.start)
    starts, sizes, window = placed(layer.window, seen.rows, seen.columns, shape, (rows.start, columns.start))
    view, padding = lowering.view(seen.map), (0, -channels % config.lanes)
    weights = np.array(found.digits, np.int8 if config.weight_bits <= 8 else np.int16)
    words = weights[:, None, None] * np.eye(config.lanes, dtype=weights.dtype)
    return Stage(
        layers=(layer.name,),
        operation=Operation.CONVOLVE,
        source=View(
            map=view.map,
            first_block=view.first_block + seen.first_block(config.lanes),
            first_row=starts[0],
            first_column=starts[1],
        ),
        destination=View(
            map=destination.map,
            first_block=destination.first_block,
            first_row=rows.start,
            first_column=columns.start,
        ),
        input_shape=(channels, *sizes),
        output_shape=shape,
        window=window,
        input_blocks=1,
        output_blocks=blocks(channels, config.lanes),
        block_step=1,
        passes=len(found.digits),
        uniform=True,
        words=words[None],
        weight_bits=max(2, signed_bits(0, max(found.digits))),
        bias=np.pad(np.full(channels, found.bias, np.int64), padding),
        shift=np.pad(np.full(channels, found.shift, np.int32), padding),
        greatest=np.pad(np.broadcast_to(np.reshape(greatest, -1), (channels,)).astype(np.int64), padding),
        least=int(least),
        dropped_bits=found.dropped_bits,
    )
