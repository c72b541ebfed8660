"""Nodes that depend on constants and shapes alone are computed while importing, and leave no step.

Exporters write chains of them (Shape, Gather, Concat, ConstantOfShape, Cast, Slice, ...) where they mean a
shape or a padding. onnx's own reference evaluator computes each node. Where any number of images is allowed, a
chain is computed for several numbers: what differs between them depends on the batch.
"""

import math

import numpy as np
from onnx import helper

from quantflow.importer.nodes import Refusal, UnknownShape

MAX_VALUES = 1 << 27  # in any input or output of a node that is folded
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


def folded(proto, site):
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
        choices = [{names[0]: np.broadcast_to(np.float32(0), (batch, *shape))} for batch in site.batches]
        return [_evaluated(proto, inputs, site.opset) for inputs in choices]
    if not all(name in site.constants for name in names):
        return None
    given = {name: site.constants.folding_input(name) for name in names}
    count = max((len(arrays) for arrays in given.values()), default=1)
    choices = [{name: arrays[k if len(arrays) > 1 else 0] for name, arrays in given.items()} for k in range(count)]
    return [_evaluated(proto, inputs, site.opset) for inputs in choices]


def _evaluated(proto, inputs, opset):
    from onnx.reference import ReferenceEvaluator  # takes a while to import, and few models need it

    _check_growth(proto, [inputs[name] for name in proto.input if name])
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
    if result.dtype.kind not in "fib" or result.size > MAX_VALUES:
        raise Refusal(f"makes a constant of type {result.dtype} and {result.size} values, which is not supported")
    return result


def _check_growth(proto, arrays):
    """Refuse, before it is computed, what would take more than MAX_VALUES, and what onnx's evaluator rounds."""
    operator, size = proto.op_type, sum(array.size for array in arrays)
    try:
        if operator in SHAPES:
            size = 1
        elif operator in ELEMENTWISE:
            size = math.prod(np.broadcast_shapes(*(array.shape for array in arrays)))
        elif operator == "ConstantOfShape":
            size = math.prod(arrays[0].tolist())
        elif operator in ("Expand", "Tile"):
            size = arrays[0].size * math.prod(max(1, number) for number in arrays[1].tolist())
        elif operator == "Gather":
            size = max(size, arrays[0].size * arrays[1].size)
        elif operator == "Range":
            start, limit, step = (array.item() for array in arrays)
            size = abs((limit - start) / step)
    except (ArithmeticError, TypeError, ValueError, IndexError):
        raise Refusal("cannot be computed from its constants, which do not fit each other") from None
    if not size <= MAX_VALUES:
        raise Refusal(f"makes a constant of {size} values; at most {MAX_VALUES} are computed")
    # ONNX divides integers towards zero, numpy downwards.
    if operator == "Div" and any(array.dtype.kind == "i" and (array < 0).any() for array in arrays):
        raise Refusal("divides negative integers among its constants, which is not supported")
