"""Damage that asks for memory or time: constants that grow, thousands of nodes, chains, nests."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

node = helper.make_node
HUGE = (2**20, 2**24, 2**26, 2**27, 2**27 + 1, 2**28, 2**31, 2**40, 2**62, 2**63 - 1, -1, 0)
COUNTS = (*(100,) * 6, *(300,) * 6, *(1000,) * 3, 9900)


def pick(rng, items):
    return items[int(rng.integers(len(items)))]


def _prepend(model, nodes, constants):
    """Put nodes in front of the model's, with the constants that they read."""
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items())


def growing_constant(rng, model):
    """One operator that makes a huge constant, or would like to."""
    size = pick(rng, HUGE)
    shape = pick(rng, ([size], [size, 1, 1], [1, size], [2**16, 2**16], [2**13, 2**13, 2], [size] * 8, [1] * 64))
    array, ones = np.array(shape, np.int64), np.ones(int(rng.integers(1, 2000)), np.float32)
    kind = pick(rng, ("ConstantOfShape", "Expand", "Tile", "Range", "Reshape", "Gather", "Add", "Unsqueeze", "Cast"))
    constants = {"bomb_a": array}
    if kind == "ConstantOfShape":
        nodes = [node(kind, ["bomb_a"], ["bomb"])]
    elif kind in ("Expand", "Tile", "Reshape"):
        constants |= {"bomb_x": ones.reshape(-1, *(1,) * (len(shape) - 1))}
        nodes = [node(kind, ["bomb_x", "bomb_a"], ["bomb"])]
    elif kind == "Range":
        numbers = (pick(rng, HUGE), pick(rng, HUGE), pick(rng, (1, -1, 0, 3)))
        number = pick(rng, (np.int64, np.float32, np.float64))
        constants = {f"bomb_{key}": number(value) for key, value in zip("abc", numbers, strict=True)}
        nodes = [node(kind, [*constants], ["bomb"])]
    elif kind == "Gather":
        indices = np.zeros(int(rng.integers(1, 10**5)), np.int64)
        constants = {"bomb_x": np.ones((3, 5000), np.float32), "bomb_a": indices}
        nodes = [node(kind, [*constants], ["bomb"], axis=int(rng.integers(-3, 3)))]
    elif kind == "Add":
        wide, high = np.ones((1, 12000), np.float32), np.ones((pick(rng, (12000, 3)), 1), np.float32)
        constants = {"bomb_x": wide, "bomb_a": high}
        nodes = [node(kind, [*constants], ["bomb"])]
    elif kind == "Unsqueeze":
        constants |= {"bomb_x": ones, "bomb_a": np.arange(pick(rng, (3, 60, 3000)), dtype=np.int64)}
        nodes = [node(kind, ["bomb_x", "bomb_a"], ["bomb"])]
    else:
        shape = np.array([pick(rng, (2**10, 2**20, 2**22))], np.int64)
        constants = {"bomb_a": shape}
        nodes = [node("ConstantOfShape", ["bomb_a"], ["many"])]
        nodes += [node(kind, ["many"], ["bomb"], to=int(rng.integers(0, 28)))]
    _prepend(model, nodes, constants)
    _read(rng, model)


def _read(rng, model):
    """Somebody reads the bomb, mostly."""
    readers = [each for each in model.graph.node if each.input and not each.output[0].startswith(("bomb", "many"))]
    reader = pick(rng, readers)
    if rng.random() < 0.7:
        reader.input[int(rng.integers(len(reader.input)))] = "bomb"


def doubling_chain(rng, model):
    """Each node doubles what the one before made."""
    count = int(rng.integers(10, 300))
    operator = pick(rng, ("Concat", "Tile", "Expand", "Gather"))
    names = ["bomb0", *(f"bomb{index}" for index in range(1, count)), "bomb"]
    nodes, constants = [], {"bomb0": np.ones(1000, np.float32), "two": np.array([2], np.int64)}
    for index in range(count):
        before, after = names[index : index + 2]
        if operator == "Concat":
            nodes.append(node("Concat", [before, before], [after], axis=0))
        elif operator == "Tile":
            nodes.append(node("Tile", [before, "two"], [after]))
        elif operator == "Expand":
            constants[f"size{index}"] = np.array([2] + [1] * (index + 1), np.int64)
            nodes.append(node("Expand", [before, f"size{index}"], [after]))
        else:
            constants["pairs"] = np.zeros((2, 1), np.int64)
            nodes.append(node("Gather", [before, "pairs"], [after], axis=0))
    _prepend(model, nodes, constants)
    _read(rng, model)


def busy_chain(rng, model):
    """Thousands of foldable nodes, each working on a large constant or on shapes."""
    count, size = pick(rng, COUNTS), pick(rng, (1, 2**10, 2**20, 2**23, 2**26))
    operator = pick(rng, ("Add", "Mul", "Reshape", "ReduceProd", "Neg", "Shape", "Transpose", "Identity"))
    constants = {"size": np.array([size], np.int64), "flat": np.array([-1], np.int64), "one": np.ones(1, np.float32)}
    nodes = [node("ConstantOfShape", ["size"], ["many"])]
    for index in range(count):
        before = "many" if index == 0 or operator in ("ReduceProd", "Shape") else f"bomb{index}"
        if operator == "Shape" and rng.random() < 0.5:
            before = model.graph.input[0].name if model.graph.input else before
        second = {"Add": ["one"], "Mul": ["one"], "Reshape": ["flat"]}.get(operator, [])
        nodes.append(node(operator, [before, *second], [f"bomb{index + 1}"]))
    nodes.append(node("Identity", [f"bomb{count}"], ["bomb"]))
    _prepend(model, nodes, constants)
    _read(rng, model)


def long_chain(rng, model):
    """Thousands of nodes behind the output: one by one, or each with a branch."""
    graph, count = model.graph, pick(rng, COUNTS)
    plain = ("Relu", "Identity", "Flatten", "Add", "Mul", "MaxPool", "Sigmoid", "Softmax")
    operator = pick(rng, (*plain, "Branch", "Mix", "Pools"))
    name, same = graph.node[-1].output[0], rng.random() < 0.3
    graph.initializer.append(numpy_helper.from_array(np.array(1.5, np.float32), "factor"))
    for index in range(count):
        after = f"chain{index}"
        mixed = {"Mix": ("MaxPool", "Relu", "Mul"), "Pools": ("MaxPool", "Relu")}.get(operator, (operator,))
        kind = mixed[index % len(mixed)]
        inputs = [name, "factor"] if kind in ("Add", "Mul") else [name, name] if kind == "Branch" else [name]
        attributes = {"kernel_shape": [1, 1]} if kind == "MaxPool" else {}
        kind = "Add" if kind == "Branch" else kind
        graph.node.append(node(kind, inputs, [after], name="same" if same else "", **attributes))
        name = after
    for output in graph.output:
        output.CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))


def shared_weights(rng, model):
    """Hundreds of layers that read one large initializer, or one number for very many channels."""
    graph, kind = model.graph, int(rng.integers(4))
    name, count = graph.node[-1].output[0], pick(rng, COUNTS)
    size = int(pick(rng, (10, 30, 100)) if kind < 2 else pick(rng, (*(10, 1000, 2**16) * 3, 2**25, 2**28)))
    values = rng.random((size, size), dtype=np.float32) / size if kind < 2 else np.ones((), np.float32)
    graph.initializer.append(numpy_helper.from_array(np.asarray(values), "shared"))
    del graph.node[:]
    graph.input[0].CopyFrom(helper.make_tensor_value_info(graph.input[0].name, TensorProto.FLOAT, ("N", size)))
    before = graph.input[0].name
    for index in range(count):
        after = name if index == count - 1 else f"shared{index}"
        if kind < 2:
            graph.node.append(node("Gemm", [before, "shared"], [after], transB=kind, alpha=pick(rng, (1.0, 0.5))))
        else:
            inputs = pick(rng, ([before], [before, "shared"]))
            operators = ("Add", "Mul", "PRelu") if len(inputs) == 2 else ("LeakyRelu", "Relu")
            graph.node.append(node(pick(rng, operators), inputs, [after]))
        before = after
    for output in graph.output:
        output.CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))


def crowd(rng, model):
    """Thousands of copies of one node, each with an output of its own or all with the same; or of initializers."""
    graph, count, kind = model.graph, pick(rng, (*COUNTS, 20_000)), int(rng.integers(4))
    if kind == 3:
        for index in range(count):
            graph.initializer.append(numpy_helper.from_array(np.float32([1]), pick(rng, ("same", f"many{index}"))))
        return
    original = pick(rng, graph.node)
    for index in range(count):
        copy = graph.node.add()
        copy.CopyFrom(original)
        if kind < 2 and copy.output:
            copy.output[0] = f"copy{index}"
        if kind == 1:
            copy.name = "same"


def wide(rng, model):
    """Maps and windows too large for any machine, and nodes with thousands of inputs, outputs or attributes."""
    graph, kind = model.graph, int(rng.integers(5))
    size = int(pick(rng, (2**10, 2**14, 2**20, 2**24, 2**28, 2**31, 2**40)))
    value = graph.input[0].name
    if kind == 0:
        pads = [0, 0, size, size, 0, 0, size, size]
        nodes = [node("Pad", [value, "pads"], ["wide"])]
        _prepend(model, nodes, {"pads": np.array(pads, np.int64)})
    elif kind == 1:
        pool = {"kernel_shape": [size, size], "dilations": [pick(rng, (1, 2, size))] * 2, "pads": [size - 1] * 4}
        operator = pick(rng, ("MaxPool", "AveragePool"))
        _prepend(model, [node(operator, [value], ["wide"], **pool)], {})
    elif kind == 2:
        _prepend(model, [node("Concat", [value] * min(size, 2**17), ["wide"], axis=1)], {})
    elif kind == 3:
        outputs = ["wide", *(f"wide{index}" for index in range(min(size, 2**15)))]
        _prepend(model, [node("Split", [value], outputs, axis=1)], {})
    else:
        made = pick(rng, graph.node)
        made.attribute.extend(helper.make_attribute(f"a{index}", index) for index in range(min(size, 2**14)))
        made.input.extend(["nowhere"] * min(size, 2**14))
    reader = pick(rng, [each for each in graph.node if value in each.input])
    if kind < 4 and reader.output[0] != "wide":
        reader.input[:] = ["wide" if name == value else name for name in reader.input]


BOMBS = (growing_constant, doubling_chain, busy_chain, long_chain, shared_weights, crowd, wide)
