"""Damage to ONNX models: each mutation takes (rng, model) and changes the ModelProto, or gives the file's bytes.

`mutated(seeds, index)` is the file number `index`, always the same; the mutations take turns.
"""

import numpy as np
from onnx import AttributeProto, ModelProto, TensorProto, helper, numpy_helper

from tests.quantflow.mutation_bombs import BOMBS

SIZES = (0, -1, 1, 2, 3, 7, 2**16, 2**31 - 1, 2**31, 2**40, 2**62, -(2**63), 2**63 - 1)
PLAUSIBLE = (0, 1, 1, 2, 2, 3, -1, 4)
REALS = (0.0, -0.0, 1.0, -1.0, 1e-45, 1e-30, 1e38, -1e38, float("inf"), float("-inf"), float("nan"))
OPERATORS = (
    *("Conv", "Gemm", "MatMul", "Relu", "MaxPool", "AveragePool", "Add", "Mul", "Concat", "Slice", "Pad", "Flatten"),
    *("Reshape", "Split", "Squeeze", "Unsqueeze", "Transpose", "Clip", "PRelu", "Softmax", "ArgMax", "Identity"),
    *("Shape", "Size", "Gather", "Cast", "Range", "Tile", "Expand", "ConstantOfShape", "Where", "ReduceProd", "Div"),
    *("Loop", "If", "Scan", "Einsum", "Resize", "ConvTranspose", "NonZero", "Mystery", "Dropout", ""),
    *("QuantizeLinear", "DequantizeLinear", "StringSplit"),
)
TEXTS = ("", "a" * 100_000, "x\ny", "\0", "\x1b[31m", "../../etc/passwd", "'\"{}%s", "名" * 300, " ", "x")


def pick(rng, items):
    """One of `items`; None if there is none."""
    return items[int(rng.integers(len(items)))] if len(items) else None


def flip(rng, model):
    content = np.frombuffer(model.SerializeToString(), np.uint8).copy()
    # Half of them in the beginning, where the nodes are: the rest is mostly weights.
    span = len(content) if rng.random() < 0.5 else min(len(content), 2000)
    places = rng.integers(0, span, pick(rng, (1, 10, 1000)))
    content[places] ^= rng.integers(1, 256, len(places), dtype=np.uint8)
    return content.tobytes()


def truncate(rng, model):
    content = model.SerializeToString()
    return content[: int(rng.integers(len(content)))]


def splice(rng, model):
    """A range of bytes doubled, removed, moved, or random ones put in."""
    content = model.SerializeToString()
    first, last, place = sorted(rng.integers(0, len(content), 3).tolist())
    kind = int(rng.integers(4))
    if kind == 0:
        return content[:place] + content[first:last] + content[place:]
    if kind == 1:
        return content[:first] + content[last:]
    if kind == 2:
        return content[:first] + content[last:place] + content[first:last] + content[place:]
    return content[:first] + rng.bytes(int(rng.integers(1, 300))) + content[first:]


def initializer_dims(rng, model):
    tensor = pick(rng, model.graph.initializer)
    if rng.random() < 0.2 or not tensor.dims:
        tensor.dims.append(pick(rng, SIZES))
    elif rng.random() < 0.2:
        tensor.dims.reverse()
    else:
        tensor.dims[int(rng.integers(len(tensor.dims)))] = pick(rng, SIZES)


def value_sizes(rng, model):
    """Sizes of the input or output, or of a value in between, which the file then declares."""
    graph, sizes = model.graph, SIZES if rng.random() < 0.4 else (5, 8, 9, 11)
    if rng.random() < 0.3:
        name = pick(rng, [name for node in graph.node for name in node.output])
        graph.value_info.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1] * int(rng.integers(6))))
    value = pick(rng, [*graph.input, *graph.input, *graph.output, *graph.value_info])
    dims = value.type.tensor_type.shape.dim
    for size in [dim for dim in dims if rng.random() < 0.4] or [dims.add()]:
        size.dim_value = pick(rng, sizes)


def attribute_number(rng, model):
    attribute = _attribute(rng, model)
    sizes = SIZES if rng.random() < 0.4 else PLAUSIBLE
    if attribute.type == AttributeProto.INT:
        attribute.i = pick(rng, sizes)
    if attribute.type == AttributeProto.FLOAT:
        attribute.f = pick(rng, REALS)
    for index in range(len(attribute.ints)):
        if rng.random() < 0.5:
            attribute.ints[index] = pick(rng, sizes)
    if attribute.ints and rng.random() < 0.1:
        attribute.ints.append(1)


def attribute_type(rng, model):
    """An attribute of another type, without its value, twice, under another name or gone."""
    node = pick(rng, [node for node in model.graph.node if node.attribute] or model.graph.node)
    names = [each.name for each in node.attribute] or ["kernel_shape"]
    kind, name = int(rng.integers(4)), pick(rng, names)
    if kind == 0 and node.attribute:
        pick(rng, node.attribute).type = int(rng.integers(0, 16))
        return
    tensor = numpy_helper.from_array(np.ones(2))
    values = (1, 1.5, b"\xff\xfe", "SAME_UPPER", [1, 2], [0.5], [2**62] * 2, [b"a"], tensor)
    added = helper.make_attribute(pick(rng, (name, "group", "axis", "pads", "dilations", "value")), pick(rng, values))
    if kind == 1:
        kept = [each for each in node.attribute if each.name != added.name]
        del node.attribute[:]
        node.attribute.extend(kept)
    if kind < 3:
        node.attribute.append(added)
    elif node.attribute:
        del node.attribute[int(rng.integers(len(node.attribute)))]


def _attribute(rng, model):
    """An attribute of a node, one that operators have being put in now and then."""
    nodes = model.graph.node
    present = [attribute for node in nodes for attribute in node.attribute]
    if not present or rng.random() < 0.3:
        lists = ("strides", "pads", "dilations", "kernel_shape", "axes", "perm")
        node, name = pick(rng, nodes), pick(rng, (*lists, "group", "axis", "ceil_mode", "transB", "allowzero"))
        length = {"pads": 4, "perm": 4}.get(name, 2)
        node.attribute.append(helper.make_attribute(name, [1] * length if name in lists else 1))
        return node.attribute[-1]
    return pick(rng, present)


def cycle(rng, model):
    """A node reads what it, or one behind it, makes."""
    nodes = model.graph.node
    first, last = sorted(rng.integers(0, len(nodes), 2).tolist())
    node = nodes[first]
    if not node.input:
        node.input.append("")
    node.input[int(rng.integers(len(node.input)))] = pick(rng, nodes[last].output)


def rename(rng, model):
    """Names used twice, or by nobody."""
    graph, kind = model.graph, int(rng.integers(5))
    nodes = graph.node
    names = [name for node in nodes for name in (*node.input, *node.output)]
    if kind == 0:
        pick(rng, nodes).output[0] = pick(rng, names)
    elif kind == 1:
        pick(rng, graph.initializer).name = pick(rng, names)
    elif kind == 2:
        for node in nodes:
            node.name = pick(rng, ("same", "", names[0]))
    elif kind == 3:
        pick(rng, [*graph.input, *graph.output]).name = pick(rng, (*names, "nowhere", ""))
    else:
        node = pick(rng, [node for node in nodes if node.input])
        node.input[int(rng.integers(len(node.input)))] = pick(rng, ("nowhere", "", *names))


def missing(rng, model):
    """Initializers, nodes, inputs or outputs gone."""
    graph = model.graph
    part = pick(rng, [each for each in (graph.initializer, graph.node, graph.node, graph.input, graph.output) if each])
    del part[int(rng.integers(len(part)))]


def repeated(rng, model):
    graph = model.graph
    part = pick(rng, (graph.initializer, graph.node, graph.node, graph.input, graph.output))
    part.append(pick(rng, part))


def reordered(rng, model):
    nodes = list(model.graph.node)
    order = rng.permutation(len(nodes)) if rng.random() < 0.3 else np.arange(len(nodes))
    first, second = rng.integers(0, len(nodes), 2)
    order[[first, second]] = order[[second, first]]
    del model.graph.node[:]
    model.graph.node.extend(nodes[index] for index in order)


def operator(rng, model):
    """Another operator, known or not, or another operator set."""
    node = pick(rng, model.graph.node)
    if rng.random() < 0.8:
        node.op_type = pick(rng, OPERATORS)
    else:
        node.domain = pick(rng, ("ai.onnx", "ai.onnx.ml", "com.microsoft", "?", "a.b\n"))
    if rng.random() < 0.3:
        del node.attribute[:]
    if rng.random() < 0.2 and len(node.input) > 1:
        del node.input[-1]


def opset(rng, model):
    version = pick(rng, (0, 1, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 18, 20, 22, 23, 26, 28, 99, -1, 2**40, None))
    if version is None:
        del model.opset_import[:]
    elif rng.random() < 0.2:
        model.opset_import.append(helper.make_opsetid(pick(rng, ("", "ai.onnx", "x")), max(0, version)))
    else:
        model.opset_import[0].version = version
    if rng.random() < 0.2:
        model.ir_version = pick(rng, (0, 1, 99, 2**40))


def weights(rng, model):
    """NaN, infinities, denormals, huge and tiny numbers among the constants."""
    tensor = pick(rng, [tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.FLOAT])
    values = numpy_helper.to_array(tensor).copy()
    flat = values.reshape(-1)
    count = pick(rng, (1, max(1, flat.size // 2), flat.size))
    flat[rng.integers(0, flat.size, count)] = pick(rng, REALS)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def integer_weights(rng, model):
    """Other numbers in the lists that name shapes, axes, paddings."""
    tensors = [tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.INT64]
    if not tensors:
        return weights(rng, model)
    tensor = pick(rng, tensors)
    values = numpy_helper.to_array(tensor).copy()
    flat = values.reshape(-1)
    sizes = SIZES if rng.random() < 0.4 else PLAUSIBLE
    flat[rng.integers(0, flat.size, int(rng.integers(1, flat.size + 1)))] = pick(rng, sizes)
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def data_type(rng, model):
    if rng.random() < 0.6:
        pick(rng, model.graph.initializer).data_type = int(rng.integers(-1, 30))
    else:
        value = pick(rng, [*model.graph.input, *model.graph.output])
        value.type.tensor_type.elem_type = int(rng.integers(0, 30))


def data_length(rng, model):
    """Data that is too short, too long, in another field or in two."""
    tensor, kind = pick(rng, model.graph.initializer), int(rng.integers(5))
    if kind == 0:
        tensor.raw_data = tensor.raw_data[: int(rng.integers(len(tensor.raw_data) + 1))]
    elif kind == 1:
        tensor.raw_data += bytes(int(rng.integers(1, 9)))
    elif kind == 2:
        tensor.ClearField("raw_data")
        tensor.float_data.extend([1.0] * int(rng.integers(9)))
    elif kind == 3:
        tensor.int64_data.extend([2**62])
    else:
        tensor.segment.begin, tensor.segment.end = 0, 2**40


def external_data(rng, model):
    tensor = pick(rng, model.graph.initializer)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    outside = ("../../../../../../etc/passwd", "/etc/passwd", "/dev/zero")
    locations = (*outside, "model.onnx", ".", "", "\0", "none", "a" * 5000)
    entries = {"location": pick(rng, locations), "offset": pick(rng, ("0", "-1", "9" * 30, "x", str(2**62)))}
    entries["length"] = pick(rng, ("0", "-1", str(2**40), "²", ""))
    for key in ("location", "offset", "length"):
        if key == "location" or rng.random() < 0.5:
            tensor.external_data.add(key=key, value=entries[key])


def subgraph(rng, model):
    """Graphs in attributes, one in the other, and functions that the file defines."""
    node, inner = pick(rng, model.graph.node), helper.make_graph([], "inner", [], [])
    for _ in range(int(rng.integers(1, 24))):
        inner = helper.make_graph([helper.make_node("If", ["x"], ["y"], then_branch=inner)], "inner", [], [])
    if rng.random() < 0.6:
        node.attribute.append(helper.make_attribute(pick(rng, ("body", "then_branch", "value", "pads")), inner))
        node.op_type = pick(rng, (node.op_type, "Loop", "If", "Scan", "Constant"))
    else:
        function = helper.make_function("", node.op_type, ["a"], ["b"], [node], [helper.make_opsetid("", 17)])
        model.functions.append(function)


def odd_names(rng, model):
    graph, text = model.graph, pick(rng, TEXTS)
    node = pick(rng, graph.node)
    kind = int(rng.integers(5))
    if kind == 0:
        node.name = text
    elif kind == 1:
        node.op_type = text
    elif kind == 2:
        node.input.insert(0, text)
    elif kind == 3:
        pick(rng, [*graph.input, *graph.output, *graph.initializer]).name = text
    else:
        old = node.output[0]
        for each in graph.node:
            for names in (each.input, each.output):
                names[:] = [text if name == old else name for name in names]


def second_input(rng, model):
    """A node reads an input of the model that was not there, in place of another one or of what a node makes."""
    graph = model.graph
    added = graph.input.add()
    added.CopyFrom(graph.input[0])
    added.name = "second"
    if rng.random() < 0.5:
        graph.input.insert(0, graph.input.pop())
    node = pick(rng, [node for node in graph.node if node.input])
    node.input[int(rng.integers(len(node.input)))] = "second"


MUTATIONS = (
    *(flip, truncate, splice, initializer_dims, value_sizes, attribute_number, attribute_type, cycle, rename, missing),
    *(repeated, reordered, operator, opset, weights, integer_weights, data_type, data_length, external_data, subgraph),
    *(odd_names, second_input, *BOMBS),
)


def mutated(seeds, index):
    """(name of the mutation, the file's bytes); every fifth file is damaged twice."""
    rng = np.random.default_rng([7, index])
    mutation = MUTATIONS[index % len(MUTATIONS)]
    model = ModelProto.FromString(seeds[int(rng.integers(len(seeds)))])
    if rng.random() < 0.2:
        first = pick(rng, (attribute_number, value_sizes, operator, rename, integer_weights))
        first(rng, model)
    try:
        content = mutation(rng, model)
    except (IndexError, TypeError, ValueError):  # what the first damage left, this one cannot be done to
        content = None
    return mutation.__name__, model.SerializeToString() if content is None else content
