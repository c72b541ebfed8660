"""A layer brought in line with its choices: what they allow, and integers rounded anew where they changed."""

import numpy as np

from quantflow.accumulation import MAX_ACCUMULATOR_BITS, MAX_LEFT_SHIFT, output_fl_range, sums_fl
from quantflow.arithmetic import Format, quantize, signed_bits
from quantflow.wording import fractional_lengths

MAX_SHIFT = MAX_ACCUMULATOR_BITS - 1
MAX_BIAS = (1 << MAX_SHIFT) - 1


def round_anew(exact, weight, anew, bits, fl):
    """Round the float weights of the channels in `anew` into `weight`; returns how many of them saturate."""
    saturating = 0
    with np.errstate(over="ignore"):  # infinite values saturate like large ones
        for each in np.unique(fl[anew]):
            rows = anew & (fl == each)
            format = Format(bits=bits, fl=int(each))
            weight[rows] = quantize(exact[rows], format)
            scaled = np.rint(np.ldexp(exact[rows].astype(np.float64), format.fl))
            saturating += int(((scaled < format.min) | (scaled > format.max)).sum())
    return saturating


def realigned(record, bias, old_fl, new_fl):
    """The biases [O] at another fl, rounded to nearest with ties to even: the same where it is the same fl."""
    with np.errstate(over="ignore"):
        values = np.rint(np.ldexp(bias.astype(np.float64), (new_fl - old_fl).astype(np.int32)))
    for channel in np.flatnonzero((values < ~MAX_BIAS) | (values > MAX_BIAS))[:1]:
        most = old_fl[channel] + MAX_ACCUMULATOR_BITS - signed_bits(bias[channel], bias[channel])
        record.fail(
            f"weight: the fl of channel {channel}'s sums, that of the input and of the weights together, is at most "
            f"{most}, where its bias still fits {MAX_ACCUMULATOR_BITS} bits, not {new_fl[channel]}"
        )
    return values.astype(np.int64)


def check_weight_fl(record, fl, formats, output, by_hand):
    """No channel's sums are shifted too far to the output, nor products or the map that is added to the sums' fl.

    `by_hand` tells that the weights' choice was edited, else it is the output's that is at fault where it can be.
    """
    source, *residual = (format.fl for format in formats)
    low, high = output.fl - source - MAX_LEFT_SHIFT, output.fl - source + MAX_SHIFT
    if residual:
        finest = residual[0] - source  # sums are at least as fine as the residual
        impossible = finest > high
        low = finest - MAX_SHIFT if finest >= low else low
        high = low - 1 if impossible else min(high, finest + MAX_ACCUMULATOR_BITS - formats[1].bits)
    wrong = fl[(fl < low) | (fl > high)]
    if not wrong.size:
        return
    if np.ptp(fl) > MAX_SHIFT + MAX_LEFT_SHIFT:
        most = MAX_SHIFT + MAX_LEFT_SHIFT
        record.fail(f"weight: fl differs by at most {most} from channel to channel, not by {np.ptp(fl)}")
    if not by_hand:
        check_output(record, sums_fl(fl, *formats), output)
    others = f"an input of fl {source}" + "".join(f", a second input of fl {each}" for each in residual)
    if low > high:
        record.fail(f"weight: no fl is possible between {others} and an output of fl {output.fl}")
    record.fail(
        f"weight: fl is a whole number from {low} to {high} for {others} and an output of fl {output.fl}, "
        f"not {wrong[0]}"
    )


def check_output(record, accumulator, output):
    """The shift from the accumulator's fl (a number or [O]) to the output's is not too long, right or left."""
    low, high = output_fl_range(accumulator)
    if not low <= output.fl <= high:
        record.fail(
            f"output: fl is a whole number from {low} to {high}, the accumulator's fl being {lengths(accumulator)}, "
            f"not {output.fl}"
        )


def lengths(fl):
    """Fractional lengths in a sentence: "7", or "5 to 8" where they differ."""
    values = np.ravel(fl).tolist()
    return fractional_lengths(values if min(values) < max(values) else values[0])
