"""Where float32, in which an engine computes between the quantizers, holds every number exactly.

Sums of products are integers times one power of two, so they are exact, in any order of adding, as long as
their magnitude stays within 2**24. An average is the float32 quotient of an exact sum S and a number of taps t,
rounded to n of `bits` bits: a wrong side of a tie would need | 2 S 2**a - t (2 n + 1) | >= 1 to vanish within
half a unit of float32, which t * 2**(bits + 1) <= 2**24 excludes; a quotient by a power of two is exact.
"""

import math

from quantflow.accumulation import EXACT_FLOAT32, accumulator_fl, sum_bits
from quantflow.errors import UserError
from quantflow.graph import AveragePool
from quantflow.quantized import MOVING

MIN_EXPONENT, MAX_EXPONENT = -126, 127  # of float32's normal numbers


def layer_figures(quantized):
    """One dict for each layer that rounds: name, format, accumulator bits, and whether float32 is exact."""
    figures = []
    for layer in quantized.network.layers:
        if isinstance(layer, MOVING):
            continue
        format = quantized.output_format(layer.name)
        figures.append(
            {
                "name": layer.name,
                "bits": format.bits,
                "fl": format.fl,
                "signed": format.signed,
                "accumulator_bits": sum_bits(quantized, layer),
                "exact_in_float32": exact_in_float32(quantized, layer),
            }
        )
    return figures


def exact_in_float32(quantized, layer):
    """Whether float32 arithmetic is proved to give the layer's integers, in whatever order it sums."""
    if 1 << (sum_bits(quantized, layer) - 1) > EXACT_FLOAT32:
        return False
    taps = math.prod(layer.window.kernel) if isinstance(layer, AveragePool) else 1
    padded = isinstance(layer, AveragePool) and any(layer.window.padding) and not layer.count_include_pad
    if taps & (taps - 1) == 0 and not padded:
        return True
    return taps << (quantized.output_format(layer.name).bits + 1) <= EXACT_FLOAT32


def check_scales(quantized):
    """Raise UserError for the first format, weight or accumulator whose numbers leave float32's range."""
    network = quantized.network
    for name in (network.input_name, *(layer.name for layer in network.layers)):
        format = quantized.output_format(name)
        _check(f"the map of {name!r}", format.fl, format.bits)
    for layer in network.layers:
        if isinstance(layer, MOVING):
            continue
        if layer.name in quantized.layers:
            entry = quantized.layers[layer.name]
            for fl in (entry.weight_fl.min(), entry.weight_fl.max()):
                _check(f"a weight of layer {layer.name!r}", int(fl), entry.weight_bits)
        fl = accumulator_fl(quantized, layer)
        _check(f"a sum of layer {layer.name!r}", int(fl.max()), 0)
        _check(f"a sum of layer {layer.name!r}", int(fl.min()), sum_bits(quantized, layer))


def _check(what, fl, bits):
    if -fl < MIN_EXPONENT or bits - fl > MAX_EXPONENT:
        raise UserError(
            f"{what} has the scale 2**{-fl}, with which float32 cannot hold it exactly; scales from "
            f"2**{MIN_EXPONENT} to 2**{MAX_EXPONENT - bits} can be exported"
        )
