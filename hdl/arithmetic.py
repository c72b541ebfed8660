"""Gateware twins of `quantflow.arithmetic`: the same names, the same integers, on Amaranth values.

All functions build expressions, without registers. A pipeline puts its registers between an act's
parts: `shift_coarsely`, `shift_finely`, then `round_half_even`. An argument that is itself an expression is computed
again for every use that a function makes of it, so pass registers.
"""

from amaranth import Cat, Const, Mux, Value

FINE_BITS = 3  # of a shift, in the second of its two steps: takes the fewest cells at 8 bits out of 32


def shift_coarsely(value, shift, bits):
    """The first part of a rounding shift: by whole steps of 2**FINE_BITS.

    `value` is signed, `shift` an unsigned value of any size or an integer. Returns a window of
    what is left of `value`, one bit that is set where anything but zeros fell off below it, and one
    that is set where the quotient takes more than the window.
    """
    step = 1 << FINE_BITS
    sign, shift = value[-1], Value.cast(shift)
    doubled = Cat(Const(0, 1), value, sign.replicate(max(0, bits + step - 2 - len(value))))
    # Whole steps first: the rest of the way then has few bits to move. What falls off at either end is
    # looked at in the same two parts.
    coarse = shift[FINE_BITS:]
    window = (doubled.as_signed() >> Cat(Const(0, FINE_BITS), coarse))[: bits + step - 1]
    below = ~(Const(-1) << coarse)  # ones below what is shifted by
    above = doubled[len(window) :] ^ sign.replicate(max(0, len(doubled) - len(window)))
    return window, _any_of_steps(doubled, step, below), _any_of_steps(above, step, ~below)


def shift_finely(window, rest, excess, sign, shift, bits):
    """The second part: by what is left of `shift`, from what `shift_coarsely` returned and the value's `sign`.

    Returns `value / 2**shift` with one bit behind the point, `bits` + 2 bits wide, and one bit that
    is set where anything but zeros lay below that. A quotient that takes more than `bits` bits,
    which are at most those of the value, is replaced by an integer of its sign that takes `bits` +
    1: saturation to `bits` bits does not tell them apart.
    """
    fine = Value.cast(shift)[:FINE_BITS]
    kept = (window.as_signed() >> fine)[:bits]
    below = ~(Const(-1) << fine)
    beside = window[bits:] ^ sign.replicate(len(window) - bits)
    excess, rest = excess | (beside & ~below).any(), rest | (window & below).any()
    return Cat(kept, sign ^ excess, sign).as_signed(), rest


def _any_of_steps(value, step, chosen):
    """Whether a bit is set in the groups of `step` bits that `chosen` has ones for."""
    groups = Cat(value[n : n + step].any() for n in range(0, len(value), step))
    return (groups & chosen).any()


def round_half_even(shifted, rest):
    """The third part: round what `shift_finely` returned to nearest, ties to even; as wide as `shifted`."""
    half, odd, quotient = shifted[0], shifted[1], shifted[1:].as_signed()
    return quotient + (half & (odd | rest))


def round_half_even_shift(value, shift, bits):
    """`value / 2**shift`, rounded to nearest with ties to even, to be saturated to `bits` bits or fewer.

    `bits` + 2 bits wide; a result that takes more than `bits` may be another such integer of its
    sign. `value` is signed, `shift` unsigned: to shift left by up to n, give `value << n` and `shift + n`.
    """
    return round_half_even(*shift_finely(*shift_coarsely(value, shift, bits), value[-1], shift, bits))


def clip(value, low, high):
    """The signed `value` where it lies in [low, high], else the nearer of them; `low` is at most `high`."""
    return Mux(value > high, high, Mux(value < low, low, value))
