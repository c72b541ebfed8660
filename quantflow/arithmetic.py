"""The arithmetic contract: formats, quantize, round-half-even shift, saturate.

Everything that computes with fixed-point numbers (tuner, integer engine, emulator) calls
these functions; `hdl/arithmetic.py` holds their gateware twins under the same names.
"""

from dataclasses import dataclass

import numpy as np

MIN_BITS, MAX_BITS = 2, 16


@dataclass(frozen=True, kw_only=True)
class Format:
    """A dynamic fixed-point format: the value of integer `q` is `q * 2**-fl`.

    `fl`, the fractional length, may be negative or larger than `bits` (Qiu et al., FPGA 2016,
    section 5.1).
    """

    bits: int  # width of the two's-complement integer
    fl: int  # fractional length

    def __post_init__(self):
        if not MIN_BITS <= self.bits <= MAX_BITS:
            raise ValueError(f"a format has {MIN_BITS} to {MAX_BITS} bits, not {self.bits}")

    @property
    def min(self):
        return -(1 << (self.bits - 1))

    @property
    def max(self):
        return (1 << (self.bits - 1)) - 1

    @property
    def scale(self):
        """Value of one least significant bit."""
        return 2.0**-self.fl


def saturate(values, bits):
    """Clip integers to the range of `bits`-bit two's complement; dtype and shape stay."""
    return np.clip(values, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def quantize(values, format):
    """`clip(round_half_even(x * 2**fl))`: float array to int32 array of the same shape."""
    scaled = np.rint(np.ldexp(np.asarray(values, dtype=np.float64), format.fl))
    return saturate(scaled, format.bits).astype(np.int32)


def dequantize(integers, format):
    """`q * 2**-fl`: integer array to float64 array of the same shape, exactly."""
    return np.ldexp(np.asarray(integers, dtype=np.float64), -format.fl)


def round_half_even_shift(values, shift):
    """`values / 2**shift`, rounded to nearest with ties to even.

    `values` is an int64 array, `shift` a non-negative integer or an array broadcast against it.
    """
    values = np.asarray(values, dtype=np.int64)
    shift = np.asarray(shift, dtype=np.int64)
    if np.any(shift < 0):
        raise ValueError(f"a right shift is at least 0, not {shift.min()}")
    quotient = values >> shift
    # Adding (half - 1 + odd) carries into the quotient exactly when the remainder exceeds one
    # half, or equals it while the quotient is odd. A zero shift has no remainder.
    half = np.where(shift > 0, np.int64(1) << np.maximum(shift - 1, 0), 0)
    remainder = values - (quotient << shift)
    carry = (remainder > half) | ((remainder == half) & (quotient & 1 == 1))
    return quotient + (carry & (shift > 0))


def signed_bits(low, high):
    """Width of the narrowest two's-complement integer that holds every value in [low, high]."""
    # `~n` is `-1 - n`: a negative integer needs as many bits as its complement.
    return max((~n if n < 0 else n).bit_length() for n in (int(low), int(high))) + 1
