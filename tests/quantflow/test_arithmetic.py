"""The arithmetic contract, against exact fractions and cases worked by hand."""

from fractions import Fraction

import numpy as np
import pytest

from quantflow.arithmetic import (
    Format,
    dequantize,
    largest_fl,
    quantize,
    round_half_even_shift,
    saturate,
    signed_bits,
)


def test_shift_rounds_as_exact_fractions_do():
    values = np.arange(-70, 71)
    for shift in range(9):
        expected = [round(Fraction(int(value), 1 << shift)) for value in values]  # ties to even
        np.testing.assert_array_equal(round_half_even_shift(values, shift), expected)


def test_shift_of_large_values():
    rng = np.random.default_rng(1)
    values = rng.integers(-(1 << 52), 1 << 52, 500)
    shifts = rng.integers(0, 54, 500)
    expected = [round(Fraction(int(value), 1 << int(shift))) for value, shift in zip(values, shifts, strict=True)]
    np.testing.assert_array_equal(round_half_even_shift(values, shifts), expected)


@pytest.mark.parametrize(("dtype", "reach"), [(np.float32, 1 << 24), (np.float64, 1 << 53)])
def test_shift_of_integers_held_in_floats(dtype, reach):
    rng = np.random.default_rng(2)
    values = np.append(rng.integers(-reach, reach, 500), [-reach, reach, 0, -1])
    shifts = rng.integers(0, 54, len(values))
    found = round_half_even_shift(values.astype(dtype), shifts)
    assert found.dtype == dtype
    expected = [round(Fraction(int(value), 1 << int(shift))) for value, shift in zip(values, shifts, strict=True)]
    np.testing.assert_array_equal(found, expected)
    ties = np.arange(-9, 10, dtype=dtype) / 2 * 8  # every half at a shift of 3
    assert round_half_even_shift(ties, 3).tolist() == [round(Fraction(int(value), 8)) for value in ties]


def test_shift_leaves_its_input_alone():
    values = np.float32([4, 5])
    round_half_even_shift(values, 1)
    assert values.tolist() == [4, 5]


def test_shift_worked_by_hand():
    # 5/2 = 2.5 and 7/2 = 3.5 are ties, as are -5/2 and -7/2; 11/4 = 2.75 is not.
    assert round_half_even_shift([5, 7, -5, -7, 1, -1], 1).tolist() == [2, 4, -2, -4, 0, 0]
    assert round_half_even_shift([11, -11, 6, 2], 2).tolist() == [3, -3, 2, 0]
    assert round_half_even_shift([-3, 0, 4], 0).tolist() == [-3, 0, 4]


def test_shifts_broadcast():
    np.testing.assert_array_equal(round_half_even_shift(np.full((2, 3), 12), [[1], [3]]), [[6] * 3, [2] * 3])


@pytest.mark.parametrize("dtype", [np.int32, np.float32, np.float64])
def test_a_negative_shift_is_one_to_the_left(dtype):
    values = np.array([5, -3, 12345, -(1 << 24)], dtype)
    expected = [[round(Fraction(int(value)) / Fraction(2) ** shift) for value in values] for shift in (-7, -1, 0, 2)]
    assert round_half_even_shift(values, [[-7], [-1], [0], [2]]).tolist() == expected


@pytest.mark.parametrize("bits", range(2, 17))
def test_saturate_keeps_what_fits(bits):
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    found = saturate(np.array([low - 1, low, -1, 0, high, high + 1, 1 << 40, -(1 << 40)]), bits)
    assert found.tolist() == [low, low, -1, 0, high, high, high, low]
    assert (Format(bits=bits, fl=0).min, Format(bits=bits, fl=0).max) == (low, high)


@pytest.mark.parametrize("bits", range(2, 17))
def test_an_unsigned_format_starts_at_zero(bits):
    format, signed = Format(bits=bits, fl=3, signed=False), Format(bits=bits, fl=3)
    assert (format.min, format.max, format.scale) == (0, (1 << bits) - 1, 0.125)
    assert format.clip(np.array([-1, 0, 1 << bits])).tolist() == [0, 0, (1 << bits) - 1]
    for each in (format, signed):
        info = np.iinfo(each.dtype)
        assert info.min <= each.min and each.max <= info.max and info.bits == (8 if bits <= 8 else 16)
        assert each.clip(np.array([each.min, each.max], each.dtype)).dtype == each.dtype


@pytest.mark.parametrize("fl", [-3, 0, 5, 12])
@pytest.mark.parametrize("signed", [False, True])
def test_quantize_inverts_dequantize(fl, signed):
    format = Format(bits=8, fl=fl, signed=signed)
    integers = np.arange(format.min, format.max + 1)
    np.testing.assert_array_equal(quantize(dequantize(integers, format), format), integers)
    assert dequantize(3, format) == 3 * format.scale


def test_quantize_rounds_half_to_even_and_clips():
    format = Format(bits=4, fl=1)
    values = np.array([0.25, 0.75, -0.25, -0.75, 0.26, 100.0, -100.0], dtype=np.float32)
    integers = quantize(values, format)
    assert integers.dtype == np.int32
    assert integers.tolist() == [0, 2, 0, -2, 1, 7, -8]


@pytest.mark.parametrize("bits", [1, 17])
def test_format_widths(bits):
    with pytest.raises(ValueError, match=f"^a format has 2 to 16 bits, not {bits}$"):
        Format(bits=bits, fl=0)


def test_signed_bits_is_the_narrowest():
    for low in range(-9, 10):
        for high in range(low, 10):
            fitting = [n for n in range(1, 8) if -(1 << (n - 1)) <= low and high <= (1 << (n - 1)) - 1]
            assert signed_bits(low, high) == fitting[0], (low, high)


@pytest.mark.parametrize(
    ("low", "high", "bits", "fl"),
    [
        (0.0, 0.9, 8, 7),  # 0.9 * 128 = 115
        (-1.0, 0.5, 8, 7),  # -128 just fits
        (-0.5, 1.0, 8, 6),  # 128 does not
        (0.0, 127.4, 8, 0),  # rounds to 127
        (0.0, 127.5, 8, -1),  # would round to 128
        (-128.5, 0.0, 8, 0),  # half to even: -128
        (-3000.0, 100.0, 8, -5),  # negative: -93.75 -> -94
        (0.0, 0.001, 4, 12),  # larger than the bits: 4.096
        (0.0, 0.0, 6, 5),
    ],
)
def test_largest_fl_worked_by_hand(low, high, bits, fl):
    assert largest_fl(low, high, bits) == fl


def test_largest_fl_of_unsigned_values_by_hand():
    assert largest_fl(0.0, 0.99, 8, signed=False) == 8  # 0.99 * 256 = 253.4
    assert largest_fl(0.0, 0.999, 8, signed=False) == 7  # 255.7 would round to 256
    assert largest_fl(0.0, 0.0, 8, signed=False) == 7


@pytest.mark.parametrize("bits", [2, 3, 8, 16])
@pytest.mark.parametrize("signed", [False, True])
def test_largest_fl_holds_and_the_next_overflows(bits, signed):
    random = np.random.default_rng(bits)
    least, most = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    for _ in range(200):
        low, high = np.sort(random.normal(size=2) * 2.0 ** random.integers(-20, 20)).astype(np.float32)
        low, high = (low, high) if signed else (0.0, max(abs(low), abs(high)))
        fl = largest_fl(low, high, bits, signed)
        fits = [least <= np.rint(low * 2.0**f) and np.rint(high * 2.0**f) <= most for f in (fl, fl + 1)]
        assert fits == [True, False]
