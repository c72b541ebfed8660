"""Shapes as an ONNX file declares them, and as ONNX itself infers them behind nodes that we refuse."""

import onnx
from onnx import TensorProto, helper

from quantflow.importer.nodes import shown
from quantflow.importer.tensors import type_name

INFERABLE = {
    *("Abs", "Celu", "Clip", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LRN", "LeakyRelu", "Log"),
    *("Mish", "Neg", "PRelu", "Relu", "Selu", "Sigmoid", "Softmax", "Softplus", "Softsign", "Sqrt", "Swish", "Tanh"),
    *("BatchNormalization", "Dropout", "Identity", "InstanceNormalization"),
    *("Add", "Div", "Max", "Mean", "Min", "Mul", "Pow", "Sub", "Sum"),
    *("AveragePool", "Conv", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "LpPool", "MaxPool"),
    *("Concat", "Flatten", "Gemm", "MatMul"),
}


def declared_sizes(value):
    """Sizes of a ValueInfoProto with the batch, None where one is free; None if no shape is declared."""
    tensor = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
        return None
    return tuple(size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim)


def input_fault(value):
    """Why the graph's input cannot be the network's, continuing "input 'x' ..."; None if it can."""
    if not value.type.HasField("tensor_type"):
        return "is not a tensor; float32 [N, C, H, W] or [N, F] is expected"
    if value.type.tensor_type.elem_type != TensorProto.FLOAT:
        return f"has elements of {type_name(value.type.tensor_type.elem_type)}; FLOAT (float32) is expected"
    sizes = declared_sizes(value)
    if sizes is None:
        return "has no declared shape; [N, C, H, W] or [N, F] is expected"
    if len(sizes) not in (2, 4):
        return f"has the shape {shown(sizes)}; [N, C, H, W] or [N, F] is expected"
    if None in sizes[1:]:
        return f"has the shape {shown(sizes)}; only the batch may be of free size"
    if any(size is not None and size < 1 for size in sizes):
        return f"has the shape {shown(sizes)}; every size must be at least 1"
    return None


class DeclaredShapes:
    """Declared shapes of a model's values by name."""

    def __init__(self, model):
        graph = model.graph
        values = (*graph.value_info, *graph.output)
        self._sizes = {value.name: declared_sizes(value) for value in values}
        self._types = {value.name: value.type.tensor_type.elem_type for value in values}

    def other_type(self, name):
        """Name of the type that the file declares for a computed value if it is not FLOAT, else None."""
        declared = self._types.get(name, TensorProto.UNDEFINED)
        return None if declared in (TensorProto.UNDEFINED, TensorProto.FLOAT) else type_name(declared)

    def contradiction(self, name, batch, shape):
        """The declared sizes of `name` if they differ from [batch, *shape], else None."""
        declared = self._sizes.get(name)
        if declared is None:
            return None
        ours = (batch, *shape)
        if len(declared) != len(ours):
            return declared
        pairs = zip(declared, ours, strict=True)
        return declared if any(None not in pair and pair[0] != pair[1] for pair in pairs) else None

    def guess(self, name):
        """The declared shape of a value without its batch, or None."""
        sizes = self._sizes.get(name)
        return sizes[1:] if sizes and min(size or 0 for size in sizes) >= 0 else None


def inferred(proto, inputs, opset):
    """Best effort for a node that we cannot convert: its output's shape without the batch, or None.

    `inputs` holds (element type, sizes) by name. Only operators whose inference in onnx reads no values are
    asked, since on hostile ones it can end the whole process.
    """
    if proto.op_type not in INFERABLE or any(name and name not in inputs for name in proto.input):
        return None
    types = {name: helper.make_tensor_type_proto(*inputs[name]) for name in proto.input if name}
    try:
        schema = onnx.defs.get_schema(proto.op_type, opset, "")
        node = onnx.NodeProto()
        node.CopyFrom(proto)
        del node.attribute[:]
        node.attribute.extend(each for each in proto.attribute if each.name in schema.attributes)
        imports = [helper.make_opsetid("", opset)]
        outputs = onnx.shape_inference.infer_node_outputs(schema, node, types, opset_imports=imports)
        tensor = outputs[proto.output[0]].tensor_type
    except Exception:  # of many kinds; without its help the shape stays unknown
        return None
    if not tensor.HasField("shape"):
        return None
    sizes = tuple(size.dim_value if size.HasField("dim_value") else None for size in tensor.shape.dim)
    return sizes[1:] if sizes and min(size or 0 for size in sizes) >= 0 else None
