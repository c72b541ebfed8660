"""The entries of a tuned network's `network.json`: written from layers, read back and checked."""

import math

import numpy as np

from quantflow.arithmetic import MAX_BITS, MIN_BITS, Format, signed_bits
from quantflow.errors import UserError
from quantflow.graph import Convolution, Dense, HostOperator, MaxPool, Network, Window
from quantflow.integer_engine import MAX_ACCUMULATOR_BITS, accumulator_bits
from quantflow.quantized import QuantizedLayer

KINDS = {"convolution": Convolution, "dense": Dense, "max_pool": MaxPool}
MAX_FL = 1 << 10  # beyond any fractional length that float32 numbers lead to
MAX_SIZE = 1 << 24  # beyond any size of a map or window


class Record:
    """A JSON object whose entries are read with their type checked; UserError names the file and entry."""

    def __init__(self, entries, where):
        self.entries, self.where = entries, where

    def fail(self, rule):
        raise UserError(f"{self.where}: {rule}")

    def text(self, key):
        return self._typed(key, str, "a text")

    def flag(self, key):
        return self._typed(key, bool, "true or false")

    def integer(self, key, low=-MAX_SIZE, high=MAX_SIZE):
        return self._in_range(key, self._get(key), low, high)

    def integers(self, key, count, low=0, high=MAX_SIZE):
        """A list of `count` integers in [low, high], as a tuple."""
        values = self._typed(key, list, "a list")
        if len(values) != count:
            self.fail(f"{key} has {count} numbers, not {len(values)}")
        return tuple(self._in_range(key, value, low, high) for value in values)

    def texts(self, key):
        values = self._typed(key, list, "a list")
        if not values or not all(isinstance(value, str) for value in values):
            self.fail(f"{key} is a list of names")
        return tuple(values)

    def record(self, key):
        return Record(self._typed(key, dict, "an object"), f"{self.where}: {key}")

    def records(self, key):
        values = self._typed(key, list, "a list")
        if not all(isinstance(value, dict) for value in values):
            self.fail(f"{key} is a list of objects")
        return [Record(value, f"{self.where}: {key}[{index}]") for index, value in enumerate(values)]

    def format(self):
        """The Format in this record's `bits` and `fl`."""
        return Format(bits=self.integer("bits", MIN_BITS, MAX_BITS), fl=self.integer("fl", -MAX_FL, MAX_FL))

    def _get(self, key):
        if key not in self.entries:
            self.fail(f"{key} is missing")
        return self.entries[key]

    def _typed(self, key, type_, words):
        value = self._get(key)
        if not isinstance(value, type_):
            self.fail(f"{key} is {words}, not {_shown(value)}")
        return value

    def _in_range(self, key, value, low, high):
        if type(value) is not int or not low <= value <= high:
            self.fail(f"{key} is a whole number from {low} to {high}, not {_shown(value)}")
        return value


def layer_to_json(layer, quantized_layer):
    """One layer's entry; `quantized_layer` is None for a layer without weights."""
    kind = next(kind for kind, type_ in KINDS.items() if type(layer) is type_)
    entry = {
        "name": layer.name,
        "kind": kind,
        "inputs": list(layer.inputs),
        "input_shape": list(layer.input_shape),
        "output_shape": list(layer.output_shape),
    }
    if kind != "dense":
        window = layer.window
        entry["window"] = {
            "kernel": list(window.kernel),
            "stride": list(window.stride),
            "padding": list(window.padding),
        }
    if quantized_layer is not None:
        entry["relu"] = layer.relu
        entry["weight"] = {
            "bits": quantized_layer.weight_bits,
            "fl": [int(fl) for fl in quantized_layer.weight_fl],
        }
        if len(set(entry["weight"]["fl"])) == 1:
            entry["weight"]["fl"] = entry["weight"]["fl"][0]
        entry["output"] = {"bits": quantized_layer.output.bits, "fl": quantized_layer.output.fl}
    return entry


def network_from_record(root, tensors):
    """The float Network, its input's Format, and the records of the layers with weights by index."""
    source = root.record("input")
    shapes = {source.text("name"): source.integers("shape", 3, low=1)}
    layers, tuned = [], {}
    for index, record in enumerate(root.records("layers")):
        layer = _layer(record, shapes, tensors, index)
        shapes[layer.name] = layer.output_shape
        layers.append(layer)
        if not isinstance(layer, MaxPool):
            tuned[index] = record
    if not layers:
        root.fail("layers is empty")
    network = Network(
        name=root.text("name"),
        input_name=source.text("name"),
        input_shape=shapes[source.text("name")],
        layers=tuple(layers),
        host=tuple(_host(record) for record in root.records("host")) if "host" in root.entries else (),
    )
    return network, source.format(), tuned


def _host(record):
    return HostOperator(operator=record.text("operator"), name=record.text("name"), axis=record.integer("axis", 0, 3))


def weights_from_record(record, layer, input_format, tensors, index):
    """The QuantizedLayer of `layer`, whose input has `input_format`, with every range checked."""
    choice, channels = record.record("weight"), layer.output_shape[0]
    bits = choice.integer("bits", MIN_BITS, MAX_BITS)
    if isinstance(choice.entries.get("fl"), list):
        weight_fl = np.array(choice.integers("fl", channels, -MAX_FL, MAX_FL), dtype=np.int32)
    else:
        weight_fl = np.full(channels, choice.integer("fl", -MAX_FL, MAX_FL), dtype=np.int32)
    weight = _integers(record, tensors, f"{index}.weight", layer.weight.shape, bits)
    bias = _integers(record, tensors, f"{index}.bias", (channels,), MAX_ACCUMULATOR_BITS)
    output = record.record("output").format()
    quantized_layer = QuantizedLayer(
        name=layer.name,
        weight_bits=bits,
        weight=weight.astype(np.int32),
        weight_fl=weight_fl,
        bias=bias.astype(np.int64),
        shift=(input_format.fl + weight_fl - output.fl).astype(np.int32),
        output=output,
    )
    _check_accumulator(record, quantized_layer, input_format)
    return quantized_layer


def _check_accumulator(record, quantized_layer, input_format):
    bits = accumulator_bits(quantized_layer, input_format)
    if bits > MAX_ACCUMULATOR_BITS:
        record.fail(f"the weights need an accumulator of {bits} bits, more than {MAX_ACCUMULATOR_BITS}")
    low, high = int(quantized_layer.shift.min()), int(quantized_layer.shift.max())
    if low < 0 or high >= MAX_ACCUMULATOR_BITS:
        wrong = low if low < 0 else high
        record.fail(f"the fractional lengths lead to a shift of {wrong}, outside 0 to {MAX_ACCUMULATOR_BITS - 1}")


def _layer(record, shapes, tensors, index):
    """One float layer, whose inputs are among `shapes` (name to [C, H, W] of every earlier map)."""
    kind = record.text("kind")
    if kind not in KINDS:
        record.fail(f"kind is one of {', '.join(KINDS)}, not {_shown(kind)}")
    common = _common(record, shapes)
    channels, height, width = common["input_shape"]
    if kind == "dense":
        shape = (common["output_shape"][0], channels * height * width)
        expected = (common["output_shape"][0], 1, 1)
    else:
        window = common["window"] = _window(record.record("window"), kind, height, width)
        outputs = channels if kind == "max_pool" else common["output_shape"][0]
        shape = (outputs, channels, *window.kernel)
        expected = (outputs, *window.output_size(height, width))
    if common["output_shape"] != expected:
        record.fail(f"output_shape is {list(expected)} for this input, not {list(common['output_shape'])}")
    if kind != "max_pool":
        common["weight"] = _floats(record, tensors, f"{index}.float_weight", shape)
        common["bias"] = _floats(record, tensors, f"{index}.float_bias", shape[:1])
        common["relu"] = record.flag("relu")
    return KINDS[kind](**common)


def _common(record, shapes):
    name, inputs = record.text("name"), record.texts("inputs")
    if name in shapes:
        record.fail(f"the name {_shown(name)} is taken by an earlier map")
    if len(inputs) != 1 or inputs[0] not in shapes:
        record.fail(f"inputs is the name of one earlier map, not {_shown(list(inputs))}")
    input_shape = record.integers("input_shape", 3, low=1)
    if input_shape != shapes[inputs[0]]:
        record.fail(f"input_shape is {list(input_shape)}, where {inputs[0]} gives {list(shapes[inputs[0]])}")
    output_shape = record.integers("output_shape", 3, low=1)
    return {"name": name, "inputs": inputs, "input_shape": input_shape, "output_shape": output_shape}


def _window(record, kind, height, width):
    window = Window(
        kernel=record.integers("kernel", 2, low=1),
        stride=record.integers("stride", 2, low=1),
        padding=record.integers("padding", 4),
    )
    if min(window.output_size(height, width)) < 1:
        record.fail(f"a kernel of {list(window.kernel)} does not fit in a map of {height}x{width}")
    inside = all(pad < size for pad, size in zip(window.padding, window.kernel * 2, strict=True))
    if kind == "max_pool" and not inside:
        record.fail(f"padding is smaller than the kernel {list(window.kernel)}, not {list(window.padding)}")
    return window


def _tensor(record, tensors, key, shape):
    if key not in tensors:
        record.fail(f"tensors.npz has no array {key}")
    if tensors[key].shape != shape:
        record.fail(f"{key} in tensors.npz has shape {list(tensors[key].shape)}, not {list(shape)}")
    return tensors[key]


def _integers(record, tensors, key, shape, bits):
    values = _tensor(record, tensors, key, shape)
    if not np.issubdtype(values.dtype, np.signedinteger):
        record.fail(f"{key} in tensors.npz holds {values.dtype} values, not integers")
    needed = signed_bits(int(values.min()), int(values.max()))
    if needed > bits:
        record.fail(f"{key} in tensors.npz holds values of {needed} bits, more than {bits}")
    return values


def _floats(record, tensors, key, shape):
    values = _tensor(record, tensors, key, shape)
    if values.dtype != np.float32 or not np.isfinite(values).all():
        record.fail(f"{key} in tensors.npz is not finite float32 throughout")
    return values


def _shown(value):
    """A value in a message, cut where it is long."""
    shown = repr(value) if not isinstance(value, float) or math.isfinite(value) else str(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
