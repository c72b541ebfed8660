"""Nodes that depend on constants and shapes alone are computed while importing, and leave no step.

Exporters write chains of them (Shape, Gather, Concat, ConstantOfShape, Cast, Slice, ...) where they mean a
shape or a padding. onnx's own reference evaluator computes each node. Where any number of images is allowed, a
chain is computed for several numbers: what differs between them depends on the batch.
"""

import math

import numpy as np
from onnx import TensorProto, helper

from quantflow.importer.nodes import Excess, Refusal, UnknownShape
from quantflow.importer.tensors import MAX_RANK, is_numeric

MAX_VALUES = 1 << 27  # in any input or output of a node that is folded
MAX_GROWN = 1 << 22  # values that a node may make out of fewer: beyond, small files would fill the memory
MAX_FILLED = 100 << 20  # floats of a ConstantOfShape: they share one number's memory, but may be copied later
MAX_WORK = 1 << 28  # values that all folded nodes of a model may read and make
NODE_WORK = 1 << 15  # what one evaluation costs beside its values: in all, some thousands of nodes are computed
SHAPES = ("Shape", "Size")
ELEMENTWISE = ("Add", "And", "Div", "Equal", "Greater", "Less", "Max", "Min", "Mul", "Or", "Sub", "Where")
PLAIN = (
    "Cast",
    "Ceil",
    "Floor",
    "Neg",
    "Not",
    "ReduceProd",
    "Reshape",
    "Slice",
    "Sqrt",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
)
FOLDABLE = {*SHAPES, *ELEMENTWISE, *PLAIN, "Concat", "ConstantOfShape", "Expand", "Gather", "Range", "Tile"}


class Folder:
    """Computes nodes, as long as a model does not ask for more than MAX_WORK."""

    def __init__(self):
        self._work = 0

    def folded(self, proto, site):
        """The node's output for each of `site.batches`: a list of arrays, or None if it is not to be folded.

        Raises Refusal where a node that only constants reach cannot be computed.
        """
        if proto.op_type not in FOLDABLE or len([name for name in proto.output if name]) != 1:
            return None
        names = [name for name in proto.input if name]
        if proto.op_type in SHAPES and len(names) == 1 and names[0] in site.values:
            shape = site.values[names[0]].shape
            if shape is None or None in shape:
                raise UnknownShape
            # Of the value only the shape is read: no memory lies behind it.
            given = {names[0]: [np.broadcast_to(np.float32(0), (batch, *shape)) for batch in site.batches]}
        elif all(name in site.constants for name in names):
            given = {name: site.constants.folding_input(name) for name in names}
        else:
            return None
        count = max((len(arrays) for arrays in given.values()), default=1)
        choices = [{name: arrays[k if len(arrays) > 1 else 0] for name, arrays in given.items()} for k in range(count)]
        for inputs in choices:
            self._spend(_checked_size(proto, inputs))
        return [_evaluated(proto, inputs, site.opset) for inputs in choices]

    def _spend(self, size):
        self._work += NODE_WORK + size
        if self._work > MAX_WORK:
            raise Excess("is not computed: the model asks for more work among its constants than is allowed")


def _evaluated(proto, inputs, opset):
    from onnx.reference import ReferenceEvaluator  # takes a while to import, and few models need it

    (output,) = [name for name in proto.output if name]
    try:
        values = [helper.make_value_info(name, helper.TypeProto()) for name in (*inputs, output)]
        graph = helper.make_graph([proto], "constant", values[:-1], values[-1:])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        with np.errstate(divide="raise", over="raise", invalid="raise"):
            (result,) = ReferenceEvaluator(model).run([output], inputs)
    except Exception as error:  # of many kinds, for a node that the file has wrong
        raise Refusal(f"cannot be computed from its constants ({type(error).__name__})") from None
    result = np.asarray(result)
    if result.dtype.kind not in "fib" or result.size > MAX_VALUES or result.ndim > MAX_RANK:
        raise Refusal(
            f"makes a constant of type {result.dtype}, {result.ndim} dimensions and {result.size} values, which is "
            f"not supported"
        )
    if _fills_floats(proto) and result.size:
        result = np.broadcast_to(result.flat[0], result.shape)
    return result


def _checked_size(proto, inputs):
    """How many values the node reads and makes.

    Raises Refusal where they are more than MAX_VALUES, or made out of few, and for what onnx's evaluator rounds.
    """
    operator, arrays = proto.op_type, [inputs[name] for name in proto.input if name]
    read = 0 if operator in SHAPES else sum(array.size for array in inputs.values())
    try:
        made = _made(proto, arrays)
    except (ArithmeticError, TypeError, ValueError, IndexError, RuntimeError):  # the last one for too many axes
        raise Refusal("cannot be computed from its constants, which do not fit each other") from None
    limit = MAX_FILLED if _fills_floats(proto) else min(MAX_VALUES, max(MAX_GROWN, read))
    if not made <= limit:
        raise Excess(f"makes a constant of {made} values out of {read}; at most {limit} are computed")
    # ONNX divides integers towards zero, numpy downwards.
    if operator == "Div" and any(array.dtype.kind == "i" and (array < 0).any() for array in arrays):
        raise Refusal("divides negative integers among its constants, which is not supported")
    if operator == "Cast" and not all(is_numeric(each.i) for each in proto.attribute if each.name == "to"):
        raise Refusal("casts a constant to a type that is not supported")
    return read + math.ceil(made)


def _fills_floats(proto):
    """Whether the node repeats one float32, as weights are written where a file shall stay small."""
    kinds = [each.t.data_type for each in proto.attribute if each.name == "value"]
    return proto.op_type == "ConstantOfShape" and kinds in ([], [TensorProto.FLOAT])


def _made(proto, arrays):
    """How many values the node makes, or a few more; any exception where its inputs do not fit."""
    match proto.op_type:
        case "Shape" | "Size":
            return 1
        case operator if operator in ELEMENTWISE:
            return math.prod(np.broadcast_shapes(*(array.shape for array in arrays)))
        case "ConstantOfShape":
            return math.prod(arrays[0].tolist())
        case "Expand":
            return math.prod(np.broadcast_shapes(arrays[0].shape, tuple(arrays[1].tolist())))
        case "Tile":
            return arrays[0].size * math.prod(max(1, number) for number in arrays[1].tolist())
        case "Gather":
            axis = next((each.i for each in proto.attribute if each.name == "axis"), 0)
            return arrays[0].size // max(1, arrays[0].shape[axis]) * arrays[1].size
        case "Range":
            start, limit, step = (array.item() for array in arrays)
            return abs((limit - start) / step)
    return sum(array.size for array in arrays)
