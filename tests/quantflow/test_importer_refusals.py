"""Everything that the importer refuses, by the text it gives: a case is a graph and its sentence."""

import re

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from quantflow.errors import UserError
from quantflow.importer import inspect_model, load_network
from tests.quantflow.onnx_graphs import build, floats, saved

RNG = np.random.default_rng(1)
CONSTANTS = {
    "w": floats(RNG, 4, 3, 3, 3),
    "b": floats(RNG, 4),
    "b3": floats(RNG, 3),
    "w1d": floats(RNG, 4, 3, 3),
    "m": floats(RNG, 192, 5),
    "m5": floats(RNG, 5, 2),
    "pixels": floats(RNG, 4, 6, 6),
    "images": floats(RNG, 2, 4, 1, 1),
    "var": np.float32([1, 1, 1, 1]),
    "negative": np.float32([1, 1, -1, 1]),
    "nan": np.float32([1, 2, np.nan, 4]),
    "infinite": np.where(np.arange(108).reshape(4, 3, 3, 3) == 30, np.inf, 1).astype(np.float32),
    "double": np.ones((4, 3, 3, 3)),
    "half": np.ones((4, 3, 3, 3), np.float16),
    "huge": np.full(4, 3e38, np.float32),
    "true": np.array(True),
    "flat2": np.array([2, 96], np.int64),
    "flat1": np.array([1, -1], np.int64),
    "split": np.array([-1, 3, 64], np.int64),
    "zero": np.array([0, -1], np.int64),
    "two": np.array([-1, -1], np.int64),
    "matrix": np.array([[0, -1]], np.int64),
    "int32": np.array([0, -1], np.int32),
    "real": np.float32([0, -1]),
    "minus": np.float32(-1),
    "six": np.float32(6),
    "from": np.array([0], np.int64),
    "to": np.array([1], np.int64),
    "back": np.array([-1], np.int64),
    "far": np.array([9], np.int64),
    "axis0": np.array([0], np.int64),
    "axis2": np.array([2], np.int64),
    "pads": np.array([0, 1, 0, 0, 0, 1, 0, 0], np.int64),
    "lesspads": np.array([0, -1, 0, 0, 0, 1, 0, 0], np.int64),
    "batchpads": np.array([1, 0, 0, 0, 0, 0, 0, 0], np.int64),
    "large": np.array([10**6, 10**6], np.int64),
}


def node(text, **attributes):
    """`node("Conv x w -> y")`; '_' is an input or output that is left out."""
    operator, *names = text.replace("->", ">").replace("_", "").split(" ")
    arrow = names.index(">")
    return helper.make_node(operator, names[:arrow], names[arrow + 1 :], **attributes)


CONV = node("Conv x w -> c")
FLAT = node("Flatten x -> f")
NORMALIZE = "BatchNormalization c b b b var -> y"

CASES = [
    ([node("Conv x w -> y", dilations=[4, 1])], "has a kernel of [9, 3], larger than its padded input of shape"),
    ([node("Conv x w -> y", dilations=[0, 1])], "has dilations [0, 1]; 2 integers of at least 1 are expected"),
    ([node("Conv x w -> y", group=3)], "Conv 'y' has group 3, which does not divide the 4 channels that it makes"),
    ([node("Conv x w -> y", group=0)], "has group 0, which does not divide the 4 channels that it makes"),
    ([node("Conv x w -> y", group=2)], "has a weight of shape [4, 3, 3, 3] for 6 channels, but reads [N, 3, 8, 8]"),
    (
        [node("Conv x w -> y", auto_pad="SAME_UPPER", pads=[1, 1, 1, 1])],
        "has auto_pad SAME_UPPER beside pads or ceil_mode, which contradict it",
    ),
    ([node("Conv x w -> y", auto_pad="FULL")], "has auto_pad FULL; only NOTSET, VALID, SAME_UPPER, SAME_LOWER are"),
    (
        [node("Conv x w -> y", kernel_shape=[5, 5])],
        "has kernel_shape [5, 5], but a weight of shape [4, 3, 3, 3]",
    ),
    (
        [node("Conv x w -> y", kernel_shape=[3])],
        "has kernel_shape [3]; 2 integers of at least 1 are expected",
    ),
    ([node("Conv x w -> y", strides=[0, 1])], "has strides [0, 1]; 2 integers of at least 1 are expected"),
    ([node("Conv x w -> y", pads=[0, 0, -1, 0])], "has pads [0, 0, -1, 0]; 4 integers of at least 0"),
    ([node("Conv x w -> y", pads=[1, 1])], "has pads [1, 1]; 4 integers of at least 0 are expected"),
    ([node("Conv x w -> y", pads=[1 << 40] * 4)], "reads a padded map of shape [N, 3, 2199023255560"),
    ([node("Conv x w -> y", pads=[1 << 40] * 4, strides=[1 << 41] * 2)], "reads a padded map of shape"),
    ([node("Conv x w -> y", strides=2)], "has the attribute 'strides' in a form that is not ONNX's"),
    ([node("Conv x w -> y", colour="red")], "has the attribute 'colour', which is not supported"),
    ([node("Conv x w1d -> y")], "has a weight of shape [4, 3, 3]; only two-dimensional convolution"),
    ([node("Conv x -> y")], "has 1 inputs; 2 to 3 are expected"),
    ([node("Conv x _ -> y")], "has no weight, which must be given"),
    ([node("Conv x missing -> y")], "reads 'missing', which no initializer, input or earlier node provides"),
    ([node("Conv x w b3 -> y")], "has a bias of shape [3]; [4] is expected"),
    (
        [CONV, node("Conv c w -> y")],
        "has a weight of shape [4, 3, 3, 3] for 3 channels, but reads [N, 4, 6, 6]",
    ),
    ([node("Conv b w -> y")], "reads the constant 'b' where the feature map is expected"),
    ([node("Conv x x -> y")], "computes its weight 'x'; only a constant is supported"),
    (
        [node("Conv x infinite -> y")],
        "has the value inf in the weight 'infinite' at [1, 0, 1, 0]; only finite numbers",
    ),
    ([node("Conv x w nan -> y")], "has the value nan in the bias 'nan' at [2]; only finite numbers"),
    ([node("Conv x double -> y")], "has the weight 'double' as DOUBLE; FLOAT is expected"),
    ([node("Conv x half -> y")], "has the weight 'half' as FLOAT16; FLOAT is expected"),
    ([node("Conv x flat2 -> y")], "has the weight 'flat2' as INT64; FLOAT is expected"),
    ([FLAT, node("Conv f w -> y")], "reads a value of shape [N, 192]; [N, C, H, W] is expected"),
    (
        [CONV, node("MaxPool c -> p", kernel_shape=[6, 6]), node("MaxPool p -> y", kernel_shape=[2, 1])],
        "has a kernel of [2, 1], larger than its padded input of shape [N, 4, 1, 1]",
    ),
    ([node("MaxPool x -> y")], "MaxPool 'y' has no kernel_shape, which must be given"),
    ([node("MaxPool x -> y", kernel_shape=[2, 2], ceil_mode=2)], "has ceil_mode 2; 0 or 1 is expected"),
    (
        [node("MaxPool x -> y", kernel_shape=[2, 2], ceil_mode=1, auto_pad="VALID")],
        "has auto_pad VALID beside pads or ceil_mode, which contradict it",
    ),
    (
        [node("MaxPool x -> y", kernel_shape=[2, 2], storage_order=1)],
        "has storage_order 1; only 0 is supported",
    ),
    (
        [
            node("MaxPool x -> p", kernel_shape=[8, 8]),
            node("MaxPool p -> y", kernel_shape=[2, 2], dilations=[2, 1], pads=[1, 0, 1, 1]),
        ],
        "has pads [1, 0, 1, 1] and a kernel of [2, 2] that lies over padding alone somewhere on [N, 3, 1, 1]",
    ),
    ([node("AveragePool x -> y", kernel_shape=[2, 2], pads=[0, 2, 0, 0])], "has pads [0, 2, 0, 0], as large as"),
    ([node("AveragePool x -> y", kernel_shape=[2, 2], count_include_pad=2)], "has count_include_pad 2; 0 or 1"),
    (
        [node("AveragePool x -> y", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1, count_include_pad=1)],
        "has ceil_mode 1 and count_include_pad 1, with a last window that ceil_mode alone makes room for",
    ),
    ([node("ReduceMean x -> y", axes=[1])], "has axes [1] for [N, 3, 8, 8]; only the mean over height and width"),
    ([node("ReduceMean x -> y")], "has no axes for [N, 3, 8, 8]; only the mean over height and width is supported"),
    ([FLAT, node("GlobalAveragePool f -> y")], "reads a value of shape [N, 192]; [N, C, H, W] is expected"),
    ([node("Clip x minus six -> y")], "has min -1 and max 6; only a min of 0 with a positive max is supported"),
    ([node("Clip x six -> y")], "has min 6 and max 3.40282e+38; only a min of 0 with a positive max"),
    ([node("Clip x b3 -> y")], "has 3 numbers as its min; one is expected"),
    ([node("LeakyRelu x -> y", alpha=float("inf"))], "has alpha inf; a finite number is expected"),
    ([node("PRelu x w1d -> y")], "has a slope of a constant of shape [4, 3, 3] to [N, 3, 8, 8]; only one number per"),
    ([CONV, node("Concat c x -> y", axis=1)], "joins [N, 4, 6, 6] and [N, 3, 8, 8]; only channels may differ"),
    ([node("Concat x x -> y", axis=2)], "has axis 2 for [N, 3, 8, 8]; only the channels are joined"),
    ([node("Concat x b -> y", axis=1)], "reads the constant 'b' where the feature map is expected"),
    ([CONV, node("Add c x -> y")], "adds maps of shapes [N, 4, 6, 6] and [N, 3, 8, 8]; only equal ones"),
    ([node("Mul x x -> y")], "does not multiply a computed map by a constant; nothing else is supported"),
    ([node("Mul x b -> y")], "multiplies by a constant of shape [4] to [N, 3, 8, 8]; only one number per"),
    ([node("Slice x from to axis0 -> y")], "cuts the batch; only channels, rows and columns are cut"),
    ([node("Slice x to from axis2 back -> y")], "has steps [-1]; only steps of at least 1 are supported"),
    ([node("Slice x from from axis2 -> y")], "leaves nothing of [N, 3, 8, 8]"),
    ([node("Slice x from to flat2 -> y")], "has starts, ends, axes and steps of different lengths"),
    ([node("Slice x from to far -> y")], "has axes [9] for [N, 3, 8, 8]"),
    ([node("Pad x pads -> y", mode="reflect")], "has mode reflect; only constant is supported"),
    ([node("Pad x pads b -> y")], "has 4 numbers as its value; one is expected"),
    ([node("Pad x lesspads -> y")], "of value 0; only finite padding of at least 0 is supported"),
    ([node("Pad x batchpads -> y")], "pads the batch; only channels, rows and columns are padded"),
    ([node("Pad x flat2 -> y")], "has pads [2, 96] and axes [0, 1, 2, 3] for [N, 3, 8, 8]"),
    ([node("Transpose x -> y", perm=[0, 2, 3, 1])], "has perm [0, 2, 3, 1], which changes the order of the values"),
    ([node("Transpose x -> y", perm=[0, 1, 1, 3])], "has perm [0, 1, 1, 3], which is no order of the axes"),
    ([node("Squeeze x -> y")], "has no axes; which ones it removes would depend on the number of images"),
    ([node("Squeeze x axis2 -> y")], "has the axes [2], a squeezing of [N, 3, 8, 8]"),
    ([FLAT, node("Unsqueeze f axis2 -> y")], "has the axes [2], an unsqueezing of [N, 192]; only flattening"),
    (
        [CONV, node("Softmax c -> s"), node("Relu s -> y")],
        "Relu 'y' reads 's', which is left to the host and so must end the model",
    ),
    ([node("Conv x w -> c"), node("Softmax c -> y", axis=4)], "has axis 4 for [N, 4, 6, 6]"),
    ([node("ConstantOfShape large -> s"), CONV], "makes a constant of 1000000000000 values out of 2; at most"),
    ([node("Concat x x -> s"), node("Conv s w -> y")], "has no axis, which must be given"),
    ([node("Concat b w -> s", axis=0), node("Conv x s -> y")], "reads the constant 'b' where the feature map"),
    ([node("Gather b large -> s"), CONV], "cannot be computed from its constants (IndexError)"),
    ([node("Shape x -> s"), node("Reshape x s -> r"), node("Gemm r s -> y")], "which depends on the number of"),
    (
        [node("MaxPool x -> y", kernel_shape=[2])],
        "has kernel_shape [2]; 2 integers of at least 1 are expected",
    ),
    (
        [node("MaxPool x -> y", kernel_shape=[2, 2], pads=[2, 0, 0, 0])],
        "has pads [2, 0, 0, 0], as large as its kernel of [2, 2]",
    ),
    (
        [node("MaxPool x -> p i", kernel_shape=[2, 2]), node("Relu i -> y")],
        "MaxPool 'p' has its output 'i' in use; only the first output is supported",
    ),
    ([FLAT, node("Gemm f m -> y", transA=1)], "Gemm 'y' has transA 1; only 0 is supported"),
    ([FLAT, node("Gemm f m -> y", transB=2)], "has transB 2; 0 or 1 is expected"),
    (
        [FLAT, node("Gemm f m -> y", alpha=float("nan"))],
        "has alpha nan and beta 1.0; finite numbers are expected",
    ),
    ([FLAT, node("Gemm f m -> y", alpha=3e38), node("Relu y -> z")], "has weights that exceed float32"),
    ([FLAT, node("Gemm f m -> y", transB=1)], "has a weight for 5 features, but reads [N, 192]"),
    ([FLAT, node("Gemm f m b3 -> y")], "adds 3 numbers to the 5 channels of [N, 5]"),
    (
        [FLAT, node("Gemm f m images -> y")],
        "adds a constant of shape [2, 4, 1, 1] to [N, 5]; only one number per",
    ),
    ([FLAT, node("Gemm f m f -> y")], "computes its bias 'f'; only a constant is supported"),
    ([FLAT, node("Gemm f b -> y")], "has a weight of shape [4]; a matrix is expected"),
    (
        [FLAT, node("Gemm m f -> y")],
        "has its weight as the first factor; only input times weight is supported",
    ),
    ([FLAT, node("MatMul m5 f -> y")], "has its weight as the first factor"),
    ([node("MatMul x m -> y")], "reads a value of shape [N, 3, 8, 8]; flatten it to [N, F] first"),
    ([FLAT, node("MatMul f m5 -> y")], "has a weight for 5 features, but reads [N, 192]"),
    ([FLAT, node("MatMul f m m -> y")], "has 3 inputs; 2 are expected"),
    (
        [CONV, node("Add c pixels -> y")],
        "adds a constant of shape [4, 6, 6] to [N, 4, 6, 6]; only one number per",
    ),
    ([CONV, node("Add c images -> y")], "adds a constant of shape [2, 4, 1, 1] to [N, 4, 6, 6]"),
    (
        [CONV, node("Add c b -> y")],
        "adds a constant of shape [4] to [N, 4, 6, 6]; only one number per channel",
    ),
    ([node("Add w b -> y")], "does not add a constant to a computed map"),
    ([node("Add x b -> y")], "adds a constant of shape [4] to [N, 3, 8, 8]"),
    (
        [CONV, node("Relu c -> r"), node("BatchNormalization r huge b b var -> y", epsilon=-0.99999)],
        "makes weights that exceed float32",
    ),
    ([CONV, node(NORMALIZE, training_mode=1)], "has training_mode 1; only 0 is supported"),
    (
        [CONV, node(NORMALIZE + " mean2 var2")],
        "has the outputs of training; only the first output is supported",
    ),
    (
        [CONV, node("BatchNormalization c b b b negative -> y")],
        "has a variance of -1 with epsilon 1e-05; their sum",
    ),
    (
        [CONV, node("BatchNormalization c b3 b3 b3 b3 -> y", epsilon=9.0)],
        "has 3 channels, but reads [N, 4, 6, 6]",
    ),
    ([CONV, node("BatchNormalization c b b3 b var -> y")], "has a bias of shape [3]; [4] is expected"),
    ([CONV, node("BatchNormalization c w b b var -> y")], "has a scale of shape [4, 3, 3, 3]; [channels] is"),
    (
        [CONV, node("BatchNormalization c huge b b var -> y", epsilon=-0.99999)],
        "makes weights that exceed float32",
    ),
    (
        [node("Flatten x -> y", axis=2)],
        "has axis 2, a flattening of [N, 3, 8, 8]; only flattening to [N, 192]",
    ),
    ([node("Flatten x -> y", axis=0)], "has axis 0, a flattening of [N, 3, 8, 8]"),
    ([node("Flatten x -> y", axis=9)], "has axis 9, a flattening of [N, 3, 8, 8]"),
    (
        [node("Reshape x flat2 -> y")],
        "has the target shape [2, 96] for a value of [N, 3, 8, 8]; only flattening",
    ),
    ([node("Reshape x flat1 -> y")], "has the target shape [1, -1] for a value of [N, 3, 8, 8]"),
    ([node("Reshape x split -> y")], "has the target shape [-1, 3, 64] for a value of [N, 3, 8, 8]"),
    ([node("Reshape x zero -> y", allowzero=1)], "has the target shape [0, -1] for a value of [N, 3, 8, 8]"),
    ([node("Reshape x two -> y")], "has the target shape [-1, -1] for a value of [N, 3, 8, 8]"),
    ([node("Reshape x matrix -> y")], "has a shape that is itself of shape [1, 2]; a list is expected"),
    ([node("Reshape x int32 -> y")], "has the shape 'int32' as INT32; INT64 is expected"),
    (
        [node("Constant -> s", value_floats=[0.0, -1.0]), node("Reshape x s -> y")],
        "has the shape 's' as float32",
    ),
    ([node("Constant -> s", value_string="a"), CONV], "Constant 's' has its value as 'value_string'"),
    ([node("Constant -> s", value_int=1, value_float=1.0), CONV], "has 2 attributes; a Constant has one"),
    ([CONV, node("Dropout c b true -> y")], "has training_mode true; only inference is supported"),
    ([CONV, node("Dropout c -> d mask"), node("Relu mask -> y")], "has its output 'mask' in use"),
    ([CONV, node("Sigmoid c -> y")], "Sigmoid 'y' is not supported (Conv, Gemm, MatMul, Relu, MaxPool"),
    ([CONV, node("Relu c -> y", domain="com.example")], "Relu 'y' belongs to the operator set 'com.example'"),
    (
        [CONV, node("Relu c -> r"), node("Relu c -> y")],
        "Relu 'r' makes 'r', which nothing reads; every layer must lead to the output",
    ),
    ([CONV, node("Relu c -> c")], "Relu 'c_2' makes 'c', which exists already; every value needs a name"),
    ([CONV, node("Relu c -> w")], "makes 'w', which exists already; every value needs a name of its own"),
    (
        [node("Relu late -> y"), node("Conv x w -> late")],
        "reads 'late', which no initializer, input or earlier",
    ),
    ([CONV, node("Relu _ -> y")], "Relu 'y' lacks its input"),
    ([CONV, node("Relu c ->")], "Relu 'Relu' has no output"),
]


IDENTIFIERS = [re.sub(r"\W+", "-", sentence)[:50] for _, sentence in CASES]


@pytest.mark.parametrize(("nodes", "sentence"), CASES, ids=IDENTIFIERS)
def test_what_cannot_be_imported_exactly_is_refused_by_name(nodes, sentence, tmp_path):
    last = nodes[-1].output[0] if nodes[-1].output else "c"
    path = saved(build(nodes, CONSTANTS, output=last), tmp_path)
    with pytest.raises(UserError) as caught:
        load_network(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ") and "\n" not in text
    inspection = inspect_model(path)
    reasons = [f"{row.operator} {row.name!r} {row.verdict}" for row in inspection.layers if not row.supported]
    assert any(sentence in reason for reason in reasons)
    assert inspection.problems or text.startswith(f"{path}: {reasons[0]}")
    assert not inspection.supported


def refused(model, folder):
    """The importer's sentence about a model, which the inspection must refuse as well."""
    path = saved(model, folder)
    with pytest.raises(UserError) as caught:
        load_network(path)
    assert not inspect_model(path).supported
    return str(caught.value).removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        (
            ("N", 3, "H", 8),
            "it has an input 'x' that has the shape [?, 3, ?, 8]; only the batch may be of free",
        ),
        (("N", 3, 8), "has the shape [?, 3, 8]; [N, C, H, W] or [N, F] is expected"),
        (("N", 3, 0, 8), "has the shape [?, 3, 0, 8]; every size must be at least 1"),
        ((0, 3, 8, 8), "has the shape [0, 3, 8, 8]; every size must be at least 1"),
        (("N", 3, -8, 8), "has the shape [?, 3, -8, 8]; every size must be at least 1"),
        (("N", 3, 1 << 62, 1 << 62), "at most 268435456 values are supported"),
        (None, "has no declared shape; [N, C, H, W] or [N, F] is expected"),
    ],
)
def test_inputs_of_other_shapes(shape, sentence, tmp_path):
    assert sentence in refused(build([CONV], CONSTANTS, shape), tmp_path)


def test_inputs_of_other_types(tmp_path):
    model = build([CONV], CONSTANTS)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    assert "has elements of UINT8; FLOAT (float32) is expected" in refused(model, tmp_path)
    model.graph.input[0].type.tensor_type.elem_type = 12345
    assert "has elements of type 12345; FLOAT (float32) is expected" in refused(model, tmp_path)
    model.graph.input[0].type.sequence_type.elem_type.tensor_type.elem_type = 1
    assert "is not a tensor; float32 [N, C, H, W] or [N, F] is expected" in refused(model, tmp_path)


@pytest.mark.parametrize("first", ["Relu z -> c", "Conv z w -> c", "Add z x -> c", "MaxPool z -> c", "Dropout z -> c"])
def test_a_second_input_that_is_read(tmp_path, first):
    attributes = {"kernel_shape": [1, 1]} if first.startswith("MaxPool") else {}
    last = "Relu c -> y" if first.startswith("Conv") else "Conv c w -> y"
    model = build([node(first, **attributes), node(last)], {"w": CONSTANTS["w"]})
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ("N", 3, 8, 8)))
    assert refused(model, tmp_path) == "it has 2 inputs ('x', 'z'); exactly one is supported"
    assert not inspect_model(tmp_path / "model.onnx").supported


def test_several_inputs_or_outputs(tmp_path):
    model = build([CONV, node("Relu c -> y")], CONSTANTS)
    second = helper.make_tensor_value_info("z", TensorProto.FLOAT, ("N", 3, 8, 8))
    model.graph.input.append(second)
    assert refused(model, tmp_path) == "it has 2 inputs ('x', 'z'); exactly one is supported"
    del model.graph.input[:]
    assert refused(model, tmp_path).startswith("it has 0 inputs (); exactly one is supported")
    model = build([CONV, node("Relu c -> y")], CONSTANTS)
    model.graph.output.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, None))
    text = refused(model, tmp_path)
    assert text == "it has 2 outputs ('y', 'c'); exactly one is supported; `quantflow inspect` shows 1 more"
    del model.graph.output[:]
    assert "it has 0 outputs (); exactly one is supported" in refused(model, tmp_path)


def test_outputs_that_are_read_or_that_nobody_makes(tmp_path):
    model = build([CONV, node("Relu c -> y")], CONSTANTS, output="c")
    assert "it has an output 'c' that 'y' reads; a chain is expected" in refused(model, tmp_path)
    for name in ("nothing", "x", "w"):
        text = refused(build([CONV], CONSTANTS, output=name), tmp_path)
        assert f"it has an output {name!r} that no layer makes" in text


def test_names_from_the_file_cannot_break_or_swell_the_sentence(tmp_path):
    strange = helper.make_node("A\nB", ["c"], ["y"], name="first\nsecond")
    text = refused(build([CONV, strange], CONSTANTS), tmp_path)
    assert text.startswith(r"'A\nB' 'first\nsecond' is not supported")
    text = refused(build([node("Conv x w -> y", auto_pad="NOT\nSET")], CONSTANTS), tmp_path)
    assert r"has auto_pad 'NOT\nSET'; only NOTSET, VALID, SAME_UPPER, SAME_LOWER are" in text
    text = refused(build([node(f"Conv x {'w' * 1000} -> y")], CONSTANTS), tmp_path)
    assert len(text) == 320 and text.endswith("w…")


def test_a_layer_whose_output_nothing_reads(tmp_path):
    model = build([node("Conv x w -> dead"), node("Conv x w -> y")], CONSTANTS)
    assert "Conv 'dead' makes 'dead', which nothing reads; every layer must lead to the output" in refused(
        model, tmp_path
    )


@pytest.mark.parametrize("nodes", [[node("Identity x -> y")], [node("Flatten x -> f"), node("Dropout f -> y")]])
def test_a_graph_without_layers(nodes, tmp_path):
    text = refused(build(nodes, {}), tmp_path)
    assert text == "it has no layer that computes; a network needs at least one"


def test_a_graph_without_nodes(tmp_path):
    text = refused(build([], {}, output="x"), tmp_path)
    assert text.startswith("it has an output 'x' that no layer makes")
    assert "has no nodes; a network needs at least one layer" in inspect_model(tmp_path / "model.onnx").problems


def test_repeated_initializers_and_attributes(tmp_path):
    model = build([CONV], CONSTANTS)
    model.graph.initializer.append(numpy_helper.from_array(floats(RNG, 4, 3, 3, 3), "w"))
    assert refused(model, tmp_path) == "it has two initializers 'w'; every value needs a name of its own"
    model = build([node("Conv x w -> y", strides=[1, 1])], CONSTANTS)
    model.graph.node[0].attribute.append(helper.make_attribute("strides", [2, 2]))
    assert refused(model, tmp_path) == "Conv 'y' has the attribute 'strides' twice"


def test_declared_shapes_must_agree(tmp_path):
    text = refused(build([CONV], CONSTANTS, output_shape=("N", 4, 8, 8)), tmp_path)
    assert text == "Conv 'c' makes [N, 4, 6, 6], but the file declares [?, 4, 8, 8] for it"
    text = refused(build([CONV], CONSTANTS, (2, 3, 8, 8), output_shape=(3, 4, 6, 6)), tmp_path)
    assert text == "Conv 'c' makes [2, 4, 6, 6], but the file declares [3, 4, 6, 6] for it"
    model = build([CONV, node("Flatten c -> y")], CONSTANTS)
    model.graph.value_info.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, ("N", 144)))
    assert refused(model, tmp_path) == "Conv 'c' makes [N, 4, 6, 6], but the file declares [?, 144] for it"


def test_declared_types_must_agree(tmp_path):
    model = build([CONV], CONSTANTS)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    assert refused(model, tmp_path) == "Conv 'c' makes FLOAT, but the file declares INT64 for it"


def test_nodes_behind_an_unknown_shape_are_not_counted_as_faults(tmp_path):
    text = refused(build([CONV, node("Relu c -> y")], CONSTANTS, ("N", 3, 8)), tmp_path)
    assert text == "it has an input 'x' that has the shape [?, 3, 8]; [N, C, H, W] or [N, F] is expected"


def test_a_function_of_the_file_is_no_operator_even_under_an_operators_name(tmp_path):
    model = build([CONV, node("Relu c -> y")], CONSTANTS)
    opset = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("", "Relu", ["a"], ["b"], [node("Neg a -> b")], opset))
    assert "Relu 'y' is a function that the file defines" in refused(model, tmp_path)


def test_sparse_initializers(tmp_path):
    model = build([node("Conv x s -> y")], {})
    values, indices = helper.make_tensor("s", 1, [1], [1.0]), helper.make_tensor("i", 7, [1], [0])
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4, 3, 3, 3]))
    assert "has the weight 's' as a sparse tensor; only dense ones are supported" in refused(model, tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda t: t.dims.__setitem__(0, 1 << 62),
            "of shape [4611686018427387904, 3, 3, 3]; 1 to 201326592",
        ),
        (
            lambda t: t.dims.__setitem__(0, -4),
            "of shape [-4, 3, 3, 3]; 1 to 201326592 elements are supported",
        ),
        (lambda t: t.dims.__setitem__(0, 5), "of shape [5, 3, 3, 3] with 432 bytes of data; it needs 540"),
        (lambda t: t.ClearField("raw_data"), "of shape [4, 3, 3, 3] with 0 bytes of data; it needs 432"),
        (lambda t: t.segment.__setattr__("begin", 0), "in segments; whole tensors are supported"),
        (lambda t: t.__setattr__("data_type", 999), "as type 999; FLOAT is expected"),
    ],
)
def test_damaged_initializers(change, sentence, tmp_path):
    model = build([CONV], {"w": CONSTANTS["w"]})
    change(model.graph.initializer[0])
    assert sentence in refused(model, tmp_path)
