"""The arithmetic contract: formats, quantize, round-half-even shift, saturate.

Everything that computes with fixed-point numbers (tuner, integer engine, emulator) calls
these functions; `hdl/arithmetic.py` holds their gateware twins under the same names.
"""

import math
from dataclasses import dataclass

import numpy as np

MIN_BITS, MAX_BITS = 2, 16
MAX_FLOAT32_EXPONENT = 96  # up to which x * 2**exponent is far from float32's limits, for the fl that maps have


@dataclass(frozen=True, kw_only=True)
class Format:
    """A dynamic fixed-point format: the value of integer `q` is `q * 2**-fl`.

    `fl`, the fractional length, may be negative or larger than `bits` (Qiu et al., FPGA 2016,
    section 5.1). An unsigned format holds maps without negative values, behind a ReLU say, at twice the
    resolution.
    """

    bits: int  # width of the integer
    fl: int  # fractional length
    signed: bool = True  # two's complement, else 0 to 2**bits - 1

    def __post_init__(self):
        if not MIN_BITS <= self.bits <= MAX_BITS:
            raise ValueError(f"a format has {MIN_BITS} to {MAX_BITS} bits, not {self.bits}")

    @property
    def min(self):
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def max(self):
        return (1 << (self.bits - self.signed)) - 1

    @property
    def scale(self):
        """Value of one least significant bit."""
        return 2.0**-self.fl

    @property
    def dtype(self):
        """The narrowest numpy integer that holds every value."""
        return np.dtype(f"{'int' if self.signed else 'uint'}{8 if self.bits <= 8 else 16}")

    def clip(self, values):
        """The nearest value of the format to each integer; dtype and shape stay."""
        return np.clip(values, self.min, self.max)


def largest_fl(low, high, bits, signed=True):
    """The largest fl at which every value in [low, high] still rounds to an integer of `bits` bits.

    An unsigned format is asked for where `low` is at least 0.

    This is where the search of Qiu et al. (FPGA 2016, section 5.2) starts. Where both ends are zero any
    fl holds them; `bits - 1` (values in [-1, 1)) is taken.
    """
    low, high = float(low), float(high)
    largest = max(abs(low), abs(high))
    if largest == 0:
        return bits - 1
    # largest = m * 2**e with m in [0.5, 1), so at most one integer bit less than this can be needed.
    fl = bits + (not signed) - math.frexp(largest)[1]
    limits = Format(bits=bits, fl=fl, signed=signed)
    while np.rint(np.ldexp(low, fl)) < limits.min or np.rint(np.ldexp(high, fl)) > limits.max:
        fl -= 1
    return fl


def saturate(values, bits):
    """Clip integers to the range of `bits`-bit two's complement; dtype and shape stay."""
    return np.clip(values, -(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def quantize(values, format):
    """`clip(round_half_even(x * 2**fl))`: float array to int32 array of the same shape."""
    scaled = np.rint(np.ldexp(np.asarray(values, dtype=np.float64), format.fl))
    return format.clip(scaled).astype(np.int32)


def dequantize(integers, format):
    """`q * 2**-fl`: integer array to float64 array of the same shape, exactly."""
    return np.ldexp(np.asarray(integers, dtype=np.float64), -format.fl)


def times_power_of_two(values, exponent):
    """`values * 2**exponent` for a float array and an integer, exactly: float64 where float32 might not hold it.

    Many times as fast as numpy's ldexp, which takes an exponent for each value.
    """
    if abs(exponent) > MAX_FLOAT32_EXPONENT:
        return np.ldexp(values.astype(np.float64), exponent)
    return values * values.dtype.type(2.0**exponent)


def round_half_even_shift(values, shift):
    """`values / 2**shift`, rounded to nearest with ties to even; a negative shift is one to the left, exact.

    `values` is an array of integers, held as int64 or as floats that hold them exactly, and so is the
    result; `shift` is an integer or an array broadcast against it.
    """
    values = np.asarray(values)
    shift = np.asarray(shift, dtype=np.int64)
    if values.dtype.kind == "f":
        # Scaling by a power of two does not round, and numpy rounds ties to even.
        scaled = values * np.ldexp(values.dtype.type(1), -shift)
        return np.rint(scaled, out=scaled)
    values = values.astype(np.int64) << np.maximum(-shift, 0)
    shift = np.maximum(shift, 0)
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
