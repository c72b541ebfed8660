"""Constants that come quantized: weights and biases, and where their grids are kept."""

from dataclasses import dataclass, field

import numpy as np
from onnx import TensorProto

from quantflow.arithmetic import MAX_BITS, MIN_BITS, Format, signed_bits
from quantflow.graph import Convolution, Dense, WeightFormat
from quantflow.importer.files import domain_of
from quantflow.importer.nodes import Refusal, shown
from quantflow.importer.quantizers import (
    QUANTIZERS,
    SIGNED,
    TYPE_NAMES,
    WIDTHS,
    fractional_lengths,
    linear_scales,
    linear_type,
    quant_width,
)

READERS = {  # inputs at which a quantized constant is understood
    "Conv": (1, 2),
    "Gemm": (1, 2),
    "MatMul": (1,),
    "Add": (0, 1),
    "Identity": (0,),
    "Transpose": (0,),
    "Shape": (0,),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """What its quantizer says of a constant: each value is an integer times 2**-fl."""

    bits: int  # of a signed integer that holds every one of them
    fl: np.ndarray  # int32, of the constant's rank, broadcast against it


@dataclass(frozen=True, kw_only=True, eq=False)
class Grids:
    """What is known of quantized constants while a model is drafted."""

    grids: dict[str, Grid] = field(default_factory=dict)  # by the constant's name
    weight_formats: dict[str, WeightFormat] = field(default_factory=dict)  # by the step's name
    biases: set[str] = field(default_factory=set)  # names of steps that add a quantized constant

    def compute(self, proto, site):
        """Whether the node quantizes or dequantizes a constant, which is computed then.

        A quantized constant that is passed on or transposed keeps its grid. Raises Refusal where one goes
        where its grid would be lost.
        """
        for index, name in enumerate(proto.input):
            if name in self.grids:
                self._follow(proto, index, self.grids[name], site)
        if (domain_of(proto), proto.op_type) not in QUANTIZERS or not site.is_constant(0):
            return False
        if proto.op_type not in _COMPUTE:
            return False  # refused by its converter
        values, grid = _COMPUTE[proto.op_type](site)
        site.constants.add_computed(proto.output[0], [values])
        if grid is not None:
            self.grids[proto.output[0]] = grid
        return True

    def _follow(self, proto, index, grid, site):
        if index not in READERS.get(proto.op_type, ()):
            raise Refusal(
                f"reads the quantized constant {proto.input[index]!r}; only weights and biases of Conv, Gemm and "
                f"MatMul may be quantized"
            )
        if proto.op_type == "Identity":
            self.grids[proto.output[0]] = grid
        elif proto.op_type == "Transpose":
            axes = tuple(range(grid.fl.ndim))
            order = site.node.attributes.integers("perm", len(axes), axes[::-1], 0)
            if sorted(order) == list(axes):  # else the transposition itself is refused
                self.grids[proto.output[0]] = Grid(bits=grid.bits, fl=grid.fl.transpose(order))

    def note(self, site, step):
        """Remember the quantizers of the weight and the bias that `step` was made with."""
        node = site.node
        if node.input(2) in self.grids or node.operator == "Add" and {*node.inputs} & self.grids.keys():
            self.biases.add(node.name)
        if isinstance(step, Convolution | Dense) and node.input(1) in self.grids:
            self.weight_formats[node.name] = _weight_format(site, self.grids[node.input(1)])


def _weight_format(site, grid):
    """The WeightFormat of a layer whose weight has `grid`: [O, ...], or [F, O] where it is transposed."""
    operator, attributes = site.node.operator, site.node.attributes
    last = operator == "MatMul" or operator == "Gemm" and not attributes.integer("transB", 0)
    axis = grid.fl.ndim - 1 if last else 0
    if grid.fl.size != grid.fl.shape[axis]:
        raise Refusal(
            f"has a weight with scales of shape {shown(grid.fl.shape)}; one for each output channel, or one for all, "
            f"is supported"
        )
    if grid.bits > MAX_BITS:
        raise Refusal(f"has a weight of {grid.bits} bits; at most {MAX_BITS} are supported")
    if operator == "Gemm" and attributes.real("alpha", 1.0) != 1:
        raise Refusal("has a quantized weight and an alpha other than 1; scale the weight before quantizing it")
    channels = site.constant(1, "weight").shape[axis]
    return WeightFormat(bits=grid.bits, fl=np.broadcast_to(grid.fl.reshape(-1), (channels,)).copy())


def _quantize_linear(site):
    """The integers that QuantizeLinear makes of a constant; they get a grid when they are dequantized."""
    site.check_inputs(2, 3)
    element_type = linear_type(site)
    values = site.constant(0, "input")
    fl = _aligned(*linear_scales(site, element_type), values)
    format = Format(bits=WIDTHS[element_type], fl=0, signed=element_type in SIGNED)
    return format.clip(_scaled(values, fl)).astype(format.dtype), None


def _dequantize_linear(site):
    site.check_inputs(2, 3)
    element_type = site.constants.element_type(site.node.input(0))
    if element_type not in (*WIDTHS, TensorProto.INT32):
        raise Refusal(f"reads the constant {site.node.input(0)!r}, which is not of {TYPE_NAMES} or INT32")
    integers = site.constant(0, "input", element_type)
    fl = _aligned(*linear_scales(site, element_type), integers)
    # ONNX has no name for a width in between: the narrowest that holds the integers.
    bits = max(MIN_BITS, signed_bits(integers.min(), integers.max()))
    return _floats(integers, fl), Grid(bits=bits, fl=fl)


def _quant(site):
    """What Quant makes of a constant. Its narrow range needs no more: no integer is the least one."""
    bits, signed, narrow = quant_width(site)
    values, fl = site.constant(0, "input"), fractional_lengths(site)
    fl = fl.reshape((1,) * values.ndim) if fl.size == 1 else fl
    if fl.ndim != values.ndim or any(size not in (1, full) for size, full in zip(fl.shape, values.shape, strict=True)):
        raise Refusal(f"has scales of shape {shown(fl.shape)} for a constant of shape {shown(values.shape)}")
    format = Format(bits=bits, fl=0, signed=signed)
    low, high = (format.min + narrow, format.max) if signed else (format.min, format.max - narrow)
    integers = np.clip(_scaled(values, fl), low, high)
    return _floats(integers, fl), Grid(bits=bits + (not signed), fl=fl)


def _scaled(values, fl):
    """round_half_even(x * 2**fl), as float64."""
    with np.errstate(over="ignore"):
        return np.rint(np.ldexp(values.astype(np.float64), fl))


def _floats(integers, fl):
    with np.errstate(over="ignore"):
        values = np.ldexp(integers.astype(np.float64), -fl).astype(np.float32)
    if not np.isfinite(values).all():
        raise Refusal("makes numbers that exceed float32")
    return values


def _aligned(fl, axis, values):
    """One fractional length, or a list of them along `axis`, as an array of the rank of `values`."""
    rank = values.ndim
    if fl.size == 1:
        return fl.reshape((1,) * rank)
    if not -rank <= axis < rank or values.shape[axis] != fl.size:
        raise Refusal(f"has {fl.size} scales along axis {axis} of a constant of shape {shown(values.shape)}")
    return fl.reshape([fl.size if index == axis % rank else 1 for index in range(rank)])


_COMPUTE = {
    "DequantizeLinear": _dequantize_linear,
    "IntQuant": _quant,
    "Quant": _quant,
    "QuantizeLinear": _quantize_linear,
}
