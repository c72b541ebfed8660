"""Quantizers that a model comes with: QuantizeLinear, DequantizeLinear and QONNX's Quant.

On a feature map a quantizer becomes a step, which `settling` turns into the format of a layer's output; what it
does to a constant is computed (`grids`). Whatever the machine's arithmetic has no form for, a scale that is no
power of two, a zero point, another rounding, is refused here.
"""

import numpy as np
from onnx import TensorProto

from quantflow.arithmetic import MAX_BITS, MIN_BITS, Format
from quantflow.importer.nodes import Refusal, shown
from quantflow.importer.steps import Passage, Quantizer
from quantflow.importer.tensors import type_name

QONNX = "qonnx.custom_op.general"
MICROSOFT = "com.microsoft"  # where onnxruntime has 16-bit quantizers in files of opsets before 21
WIDTHS = {TensorProto.INT8: 8, TensorProto.UINT8: 8, TensorProto.INT16: 16, TensorProto.UINT16: 16}
SIGNED = (TensorProto.INT8, TensorProto.INT16, TensorProto.INT32)
TYPE_NAMES = "INT8, UINT8, INT16 and UINT16"


def quantize_linear(site):
    """QuantizeLinear of a feature map: its integers, which only DequantizeLinear may read."""
    site.check_inputs(2, 3)
    element_type = linear_type(site)
    format = _linear_format(site, element_type)
    shape = site.known_shape()
    return site.layer(Quantizer, shape, format=format), shape


def dequantize_linear(site):
    """DequantizeLinear of a feature map's integers: with QuantizeLinear's own scale it changes nothing more."""
    site.check_inputs(2, 3)
    shape, made = site.known_shape(), site.computed().integers
    if made is None:
        raise Refusal(f"reads {site.node.input(0)!r}, which no QuantizeLinear makes")
    kinds = {(bits, kind in SIGNED): kind for kind, bits in WIDTHS.items()}
    format = _linear_format(site, kinds[made.bits, made.signed])
    if format != made:
        raise Refusal(f"has the scale {format.scale:g} for integers made with {made.scale:g}; they must be equal")
    return site.layer(Passage, shape), shape


def _linear_format(site, element_type):
    """The Format of a quantizer of a feature map, which has one scale."""
    fl, _ = linear_scales(site, element_type)
    return Format(bits=WIDTHS[element_type], fl=_only(fl), signed=element_type in SIGNED)


def _only(fl):
    if fl.size != 1:
        raise Refusal(f"has {fl.size} scales; a feature map has one")
    return fl.item()


def linear_type(site):
    """The type that QuantizeLinear rounds to, ONNX's number."""
    declared = site.node.attributes.integer("output_dtype", 0)
    if not site.node.input(2):
        element_type = declared or TensorProto.UINT8
    else:
        element_type = site.constants.element_type(site.node.input(2))
    if element_type not in WIDTHS:
        given = "a type that is not" if element_type is None else f"{type_name(element_type)}; only"
        raise Refusal(f"rounds to {given} {TYPE_NAMES}{'' if element_type is None else ' are supported'}")
    return element_type


def linear_scales(site, element_type):
    """The fractional lengths of the scales of QuantizeLinear or DequantizeLinear, and their axis."""
    attributes = site.node.attributes
    axis = attributes.integer("axis", 1)
    attributes.only("block_size", attributes.integer("block_size", 0), 0)
    attributes.only("precision", attributes.integer("precision", 0), 0)
    attributes.ignore("saturate", "output_dtype")  # the former is of floating-point types alone
    attributes.finish()
    fl = fractional_lengths(site)
    if fl.ndim > 1:
        raise Refusal(f"has scales of shape {shown(fl.shape)}; a number or a list is expected")
    if site.node.input(2):
        _check_zero_points(site.constant(2, "zero point", element_type))
    return fl, axis


def fractional_lengths(site):
    """-log2 of a quantizer's scales: int32 of their shape."""
    scales = site.constant(1, "scale").astype(np.float64)
    mantissa, exponent = np.frexp(scales)
    wrong = scales[(mantissa != 0.5) | (scales <= 0)]
    if wrong.size:
        first = float(wrong[0])
        nearest = f" such as {2.0 ** round(np.log2(first)):g}" if first > 0 else ""
        raise Refusal(f"has the scale {first:g}; only powers of two{nearest} are supported")
    return (1 - exponent).astype(np.int32)


def _check_zero_points(zero_points):
    wrong = zero_points[zero_points != 0]
    if wrong.size:
        raise Refusal(f"has the zero point {wrong[0]:g}; only 0 is supported: quantize symmetrically")


def quant(site):
    """QONNX's Quant of a feature map: rounds to a format of any width, and stays float."""
    bits, signed, narrow = quant_width(site)
    if narrow:
        raise Refusal("has narrow 1, which leaves an integer out; only narrow 0 is supported on a feature map")
    format = Format(bits=bits, fl=_only(fractional_lengths(site)), signed=signed)
    shape = site.known_shape()
    return site.layer(Quantizer, shape, format=format), shape


def quant_width(site):
    """(bits, signed, narrow) of a Quant, whose zero point and rounding are checked."""
    attributes = site.node.attributes
    site.check_inputs(4, 4)
    signed, narrow = (attributes.integer(name, default) for name, default in (("signed", 1), ("narrow", 0)))
    rounding = attributes.text("rounding_mode", "ROUND")
    attributes.finish()
    if signed not in (0, 1) or narrow not in (0, 1):
        raise Refusal(f"has signed {signed} and narrow {narrow}; 0 or 1 is expected")
    if rounding.upper() not in ("ROUND", "HALF_EVEN"):
        raise Refusal(f"has rounding_mode {rounding!r}; only ROUND, half to even, is supported")
    _check_zero_points(site.constant(2, "zero point"))
    is_whole = site.constants.element_type(site.node.input(3)) == TensorProto.INT32
    bits = site.constant(3, "bit width", TensorProto.INT32 if is_whole else TensorProto.FLOAT)
    if bits.size != 1 or not MIN_BITS <= bits.item() <= MAX_BITS or bits.item() % 1:
        given = f"{bits.item():g}" if bits.size == 1 else shown(bits.reshape(-1)[:8].tolist())
        raise Refusal(f"has the bit width {given}; one whole number from {MIN_BITS} to {MAX_BITS} is expected")
    return int(bits.item()), bool(signed), bool(narrow)


def bipolar_quant(site):
    """BipolarQuant."""
    raise Refusal(f"rounds to -1 and +1; only quantizers to {MIN_BITS} to {MAX_BITS} bits are supported")


def float_quant(site):
    """FloatQuant."""
    raise Refusal("rounds to floating-point numbers; only Quant, to integers, is supported")


def trunc(site):
    """Trunc."""
    raise Refusal("cuts off the low bits; only Quant, which rounds half to even, is supported")


QUANTIZERS = {  # by domain and operator
    ("", "QuantizeLinear"): quantize_linear,
    ("", "DequantizeLinear"): dequantize_linear,
    (MICROSOFT, "QuantizeLinear"): quantize_linear,
    (MICROSOFT, "DequantizeLinear"): dequantize_linear,
    (QONNX, "Quant"): quant,
    (QONNX, "IntQuant"): quant,  # its later name
    (QONNX, "FloatQuant"): float_quant,
    (QONNX, "BipolarQuant"): bipolar_quant,
    (QONNX, "Trunc"): trunc,
}
