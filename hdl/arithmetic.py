"""Gateware twins of `quantflow.arithmetic`: the same names, the same integers, on Amaranth values.

All functions build expressions, without registers: a pipeline that needs a register in the middle
of an act takes its parts (`shift_right`, then `quotient + carry`; `limits`, then `clip`).
"""

from amaranth import Cat, Const, Mux, Value


def shift_right(value, shift):
    """Quotient and carry of a rounding shift: `round_half_even_shift` is their sum.

    `value` is signed, `shift` an unsigned value or integer of any size. Returns the quotient
    `value >> shift`, as wide as `value`, and one bit that is set where it is to be rounded up:
    the remainder exceeds one half, or equals it while the quotient is odd.
    """
    value, shift = Value.cast(value), Value.cast(shift)
    # With one zero below it, the value shifted still holds the first bit behind the point.
    doubled = Cat(Const(0, 1), value).as_signed()
    shifted = (doubled >> shift)[: len(doubled)]
    half, quotient = shifted[0], shifted[1:].as_signed()
    below_half = (doubled & ~(Const(-1) << shift)).any()
    return quotient, half & (quotient[0] | below_half)


def round_half_even_shift(value, shift):
    """`value / 2**shift`, rounded to nearest with ties to even; as wide as `value`.

    The sum cannot overflow: a shift by zero has no carry, any other has a spare bit.
    """
    quotient, carry = shift_right(value, shift)
    return (quotient + carry)[: len(quotient)].as_signed()


def limits(bits, out_bits):
    """Least and greatest integer of `bits`-bit two's complement, as signed values of `out_bits`.

    `bits` is an integer or an unsigned value, from 1 to `out_bits`.
    """
    low = (Const(-1) << (Value.cast(bits) - 1)[: len(Value.cast(bits))])[:out_bits].as_signed()
    return low, ~low


def clip(value, low, high):
    """`value` where it lies in [low, high], else the nearer of them; as wide as these."""
    value = Value.cast(value)
    return Mux(value > high, high, Mux(value < low, low, value))[: len(high)].as_signed()


def saturate(value, bits, out_bits):
    """Clip `value` to the range of `bits`-bit two's complement; signed, `out_bits` wide.

    `bits` is an integer or an unsigned value, from 1 to `out_bits`.
    """
    return clip(value, *limits(bits, out_bits))
