"""Packed vectors of small integers between their own width and the width that they take in memory."""

from amaranth import Cat


def resize_elements(packed, *, count, from_bits, to_bits):
    """`count` two's-complement elements of `from_bits` bits, packed from the lowest bit upwards,
    as packed elements of `to_bits` bits.

    out[k] = sign-extended in[k], or its low `to_bits` bits where that is narrower (exact for the
    values that `to_bits` bits can hold). `packed` is an Amaranth value of `count * from_bits` bits.
    """
    if to_bits == from_bits:
        return packed[: count * from_bits]
    elements = (packed[k * from_bits : (k + 1) * from_bits] for k in range(count))
    if to_bits <= from_bits:
        return Cat(element[:to_bits] for element in elements)
    return Cat(Cat(element, element[-1].replicate(to_bits - from_bits)) for element in elements)
