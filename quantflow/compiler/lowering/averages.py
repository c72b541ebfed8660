"""Averages: sums times a reciprocal whose rounding is proved to be the mean's."""

from dataclasses import dataclass

import numpy as np

from quantflow.accumulation import output_range
from quantflow.arithmetic import signed_bits
from quantflow.compiler.lowering.digits import digits
from quantflow.compiler.lowering.gather import placed
from quantflow.compiler.lowering.pooling import aligned
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


def reciprocal(taps, shift, sum_bits, config):
    """The Reciprocal that gives round_half_even(sum / (taps * 2**shift)) for every sum of `sum_bits` bits.

    Let taps * 2**shift = n * 2**b with n odd. Where n is 1 the weight is 1 and b the shift. Else the weight is
    m = round(2**(t - b) / n) for a shift of t, so that n * m = 2**(t - b) + r, and with S = 2**(sum_bits - 1)

        sum * m = v * 2**t + e,  v = sum / (n * 2**b) being the mean,  |e| <= E = S |r| / n.

    A tie is a v of i + 1/2. Where b <= 0, v = sum * 2**-b / n is never a tie, as n is odd, and at least
    1 / (2 n) from each. So E < 2**t / (2 n), that is 2 S |r| < 2**t, keeps each sum on its side.

    Where b > 0, ties exist: e must vanish there. A v that is no tie is at least 1 / (n * 2**b) from each. With
    2**d at most 2**t / (n * 2**b) and E < 2**(d - 1), adding 2**(d - 1) and clearing d bits gives the multiple
    of 2**d next to v * 2**t + e: for a tie, which is one as d < t, the tie itself; for another v, which is
    2**d away from the tie at least and 2**(d - 1) < 2**d - E with its error, none beyond or at the tie.

    The smallest t that fulfils this is taken, having the fewest digits. Raises ValueError where the
    configuration's accumulators cannot hold the products of any.
    """
    odd, b = taps, shift
    while odd % 2 == 0:
        odd, b = odd // 2, b + 1
    if odd == 1:
        return Reciprocal(weight=1, digits=(1,), shift=b, dropped_bits=0, bias=0)
    greatest = 1 << (sum_bits - 1)
    for t in range(max(b, 0), config.accumulator_bits):
        power = 1 << (t - b)
        weight = (2 * power + odd) // (2 * odd)
        error = greatest * abs(odd * weight - power)
        dropped = max(0, (power // odd).bit_length() - 1) if b > 0 else 0
        if error < odd << dropped >> 1 and dropped if b > 0 else 2 * error < 1 << t:
            bias = 1 << dropped >> 1
            if signed_bits(-greatest * weight, greatest * weight + bias) > config.accumulator_bits:
                break
            passes = max(1, -(-weight.bit_length() // config.pass_shift))
            split = tuple(int(digit) for digit in digits(np.int64(weight), passes, config))
            return Reciprocal(weight=weight, digits=split, shift=t, dropped_bits=dropped, bias=bias)
    raise ValueError(f"accumulators of {config.accumulator_bits} bits are too few for a mean of {taps} numbers")


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
    try:
        found = reciprocal(taps, source.fl - format.fl, signed_bits(source.min * taps, source.max * taps), config)
    except ValueError as error:
        raise UserError(f"layer {layer.name}: {error}") from None
    least, greatest = output_range(layer, format)
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
