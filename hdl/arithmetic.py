"""Gateware twins of `quantflow.arithmetic`: the same names, the same integers, on Amaranth values.

All functions build expressions, without registers. A pipeline puts its registers between an act's
parts: `shift_right`, then `round_half_even`; `limits`, then `clip`. An argument that is itself an
expression is computed again for every use that a function makes of it, so pass registers.
"""

from amaranth import Cat, Const, Mux, Value, signed


def shift_right(value, shift):
    """The first part of a rounding shift: what is left of `value` behind it, and what fell off.

    `value` is signed, `shift` an unsigned value of any size or an integer. Returns
    `value / 2**shift` with one bit behind the point (one bit wider than `value`), and one bit that
    is set where anything but zeros lay below that.
    """
    doubled = Cat(Const(0, 1), value).as_signed()
    below = ~(Const(-1) << shift)
    return (doubled >> shift)[: len(doubled)].as_signed(), (doubled & below).any()


def round_half_even(shifted, rest):
    """The second part: round what `shift_right` returned to nearest, ties to even.

    One bit narrower than `shifted`. The sum cannot overflow: a shift by zero leaves no half, any
    other a spare bit.
    """
    half, odd, quotient = shifted[0], shifted[1], shifted[1:].as_signed()
    return (quotient + (half & (odd | rest)))[: len(quotient)].as_signed()


def round_half_even_shift(value, shift):
    """`value / 2**shift`, rounded to nearest with ties to even; as wide as the signed `value`."""
    return round_half_even(*shift_right(value, shift))


def limits(bits, out_bits):
    """Least and greatest integer of `bits`-bit two's complement, as signed values of `out_bits`.

    `bits` is an integer or an unsigned value, from 1 to `out_bits`.
    """
    bits = Value.cast(bits)
    low = (Const(-1, signed(out_bits)) << (bits - 1)[: len(bits)])[:out_bits].as_signed()
    return low, ~low


def clip(value, low, high):
    """The signed `value` where it lies in [low, high], else the nearer of them; as wide as these."""
    inside = value[: len(high)].as_signed()
    return Mux(value > high, high, Mux(value < low, low, inside))


def saturate(value, bits, out_bits):
    """Clip the signed `value` to the range of `bits`-bit two's complement; signed, `out_bits` wide.

    `bits` is an integer or an unsigned value, from 1 to `out_bits`.
    """
    return clip(value, *limits(bits, out_bits))
