"""The constants of an ONNX graph as numpy arrays: initializers and Constant nodes, checked when read."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
from onnx import AttributeProto, TensorProto

from quantflow.importer.nodes import Refusal, shown

MAX_ELEMENTS = 3 << 26  # of any constant: more than the weights of any network that fits a board
MAX_RANK = 8  # of any constant
MAX_COMPUTED_BYTES = 3 << 28  # of all constants that are computed while importing

_DTYPES = {
    TensorProto.FLOAT: "<f4",
    TensorProto.DOUBLE: "<f8",
    TensorProto.INT32: "<i4",
    TensorProto.INT64: "<i8",
    TensorProto.BOOL: "?",
    TensorProto.INT8: "<i1",
    TensorProto.UINT8: "<u1",
    TensorProto.INT16: "<i2",
    TensorProto.UINT16: "<u2",
}
_TYPED_FIELDS = {
    TensorProto.FLOAT: "float_data",
    TensorProto.DOUBLE: "double_data",
    TensorProto.INT32: "int32_data",
    TensorProto.INT64: "int64_data",
    TensorProto.BOOL: "int32_data",
    TensorProto.INT8: "int32_data",
    TensorProto.UINT8: "int32_data",
    TensorProto.INT16: "int32_data",
    TensorProto.UINT16: "int32_data",
}


def is_numeric(element_type):
    """Whether constants of this type are read and computed."""
    return element_type in _DTYPES


class Constants:
    """Constant values by name. An array is decoded and checked when it is asked for.

    External data is read from the model's folder only. `array` raises Refusal in words that continue
    "node X ...".
    """

    def __init__(self, graph, folder):
        self._folder = folder
        self._tensors = {tensor.name: tensor for tensor in graph.initializer if tensor.name}
        self._sparse = {sparse.values.name for sparse in graph.sparse_initializer if sparse.values.name}
        counts = Counter(tensor.name for tensor in graph.initializer)
        counts.update(self._sparse)
        self._computed_bytes = 0
        self._read = {}  # (name, element type) -> array: what many nodes read is held once
        self._varying = {}  # name -> arrays, one for each of the numbers of images that stand for any
        self.repeated = [name for name, count in counts.items() if count > 1]

    def __contains__(self, name):
        return name in self._tensors or name in self._sparse or name in self._varying

    def varies(self, name):
        """Whether the value of `name` depends on the number of images."""
        return name in self._varying

    def element_type(self, name):
        """ONNX's number for the type of the constant's elements; None if it has no type that we read."""
        value = self._varying[name][0] if name in self._varying else self._tensors.get(name)
        if isinstance(value, TensorProto):
            return value.data_type if value.data_type in _DTYPES else None
        known = (kind for kind, dtype in _DTYPES.items() if value is not None and value.dtype == np.dtype(dtype))
        return next(known, None)

    def sizes(self, name):
        """The sizes of a constant of a type that we read, without decoding it; None if they are unknown."""
        value = self._varying[name][0] if name in self._varying else self._tensors.get(name)
        if self.element_type(name) is None:
            return None
        return tuple(value.dims) if isinstance(value, TensorProto) else value.shape

    def add_computed(self, name, arrays):
        """Take what folding computed: one array, or one for each number of images."""
        first = arrays[0]
        self._computed_bytes += sum(array.nbytes for array in arrays)
        if self._computed_bytes > MAX_COMPUTED_BYTES:
            raise Refusal(f"takes the computed constants beyond {MAX_COMPUTED_BYTES} bytes, which is the limit")
        alike = all(a.dtype == first.dtype and np.array_equal(a, first) for a in arrays[1:])
        if alike:
            self._tensors[name] = first
        else:
            self._varying[name] = tuple(arrays)

    def variants(self, name, meaning, element_type):
        """The constant `name` for each number of images, of `element_type`."""
        arrays = self._varying[name]
        if self.element_type(name) != element_type:
            raise Refusal(f"has the {meaning} {name!r} as {arrays[0].dtype}; {type_name(element_type)} is expected")
        return arrays

    def folding_input(self, name):
        """The constant as folding reads it: a tuple of one array, or of one for each number of images."""
        if name in self._varying:
            return self._varying[name]
        kind = self.element_type(name)
        if kind is None:
            raise Refusal(f"reads the constant {name!r}, of a type that is not supported")
        value = self._tensors[name]
        if isinstance(value, TensorProto):
            value = _decoded(value, f"constant {name!r}", kind, self._folder, least_size=0)
        return (value,)

    def add_node(self, name, proto):
        """Take the value of the Constant node `proto` under `name`; raises Refusal if it has none."""
        if len(proto.attribute) != 1:
            raise Refusal(f"has {len(proto.attribute)} attributes; a Constant has one, its value")
        (attribute,) = proto.attribute
        kinds = {
            "value": (AttributeProto.TENSOR, lambda: attribute.t),
            "value_float": (AttributeProto.FLOAT, lambda: np.float32(attribute.f)),
            "value_floats": (AttributeProto.FLOATS, lambda: np.array(attribute.floats, np.float32)),
            "value_int": (AttributeProto.INT, lambda: np.int64(attribute.i)),
            "value_ints": (AttributeProto.INTS, lambda: np.array(attribute.ints, np.int64)),
        }
        kind, value = kinds.get(attribute.name, (None, None))
        if kind is None or attribute.type != kind or attribute.ref_attr_name:
            raise Refusal(f"has its value as {attribute.name!r}; a tensor, numbers or a number is supported")
        self._tensors[name] = value()

    def add_alias(self, name, original):
        """`name` is the same constant as `original`."""
        if original in self._sparse:
            self._sparse.add(name)
        elif original in self._varying:
            self._varying[name] = self._varying[original]
        else:
            self._tensors[name] = self._tensors[original]

    def array(self, name, meaning, element_type=TensorProto.FLOAT):
        """The constant `name`, of `element_type` and finite, as a read-only array."""
        label = f"{meaning} {name!r}"
        if name in self._sparse:
            raise Refusal(f"has the {label} as a sparse tensor; only dense ones are supported")
        if name in self._varying:
            raise Refusal(f"has the {label}, which depends on the number of images")
        key = name, element_type
        if key not in self._read:
            self._read[key] = self._checked(self._tensors[name], label, element_type)
        return self._read[key]

    def _checked(self, value, label, element_type):
        if isinstance(value, TensorProto):
            value = _decoded(value, label, element_type, self._folder)
        elif not value.size:
            raise Refusal(f"has the {label} of shape {shown(value.shape)}; at least one element is expected")
        elif value.dtype != np.dtype(_DTYPES[element_type]):
            raise Refusal(f"has the {label} as {value.dtype}; {type_name(element_type)} is expected")
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            index = [int(place) for place in np.unravel_index(np.isfinite(value).argmin(), value.shape)]
            number = value[tuple(index)]
            raise Refusal(
                f"has the value {number} in the {label} at {index}; only finite numbers are supported"
            )
        return value


def type_name(element_type):
    """ONNX's name of an element type; files may hold numbers that name none."""
    known = element_type in TensorProto.DataType.values()
    return TensorProto.DataType.Name(element_type) if known else f"type {element_type}"


def _decoded(tensor, label, element_type, folder, least_size=1):
    if tensor.data_type != element_type:
        given = type_name(tensor.data_type)
        raise Refusal(f"has the {label} as {given}; {type_name(element_type)} is expected")
    dims = list(tensor.dims)
    if any(not least_size <= size <= MAX_ELEMENTS for size in dims) or math.prod(dims) > MAX_ELEMENTS:
        raise Refusal(f"has the {label} of shape {shown(dims)}; 1 to {MAX_ELEMENTS} elements are supported")
    if len(dims) > MAX_RANK:
        raise Refusal(f"has the {label} of {len(dims)} dimensions; at most {MAX_RANK} are supported")
    if tensor.HasField("segment"):
        raise Refusal(f"has the {label} in segments; whole tensors are supported")
    dtype = np.dtype(_DTYPES[element_type])
    expected = math.prod(dims) * dtype.itemsize
    if tensor.data_location == TensorProto.EXTERNAL:
        content = _external(tensor, label, expected, folder)
    elif tensor.HasField("raw_data"):
        content = tensor.raw_data
    else:
        given = np.array(getattr(tensor, _TYPED_FIELDS[element_type]))
        content = given.astype(dtype).tobytes()
        if dtype.kind in "iu" and (given != np.frombuffer(content, dtype)).any():
            raise Refusal(f"has a number in the {label} that {type_name(element_type)} does not hold")
    if len(content) != expected:
        raise Refusal(
            f"has the {label} of shape {shown(dims)} with {len(content)} bytes of data; it needs {expected}"
        )
    return np.frombuffer(content, dtype=dtype).reshape(dims)


def _external(tensor, label, expected, folder):
    """The bytes of a tensor that lies in a file beside the model."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    offset, length = _number(entries, "offset", 0, label), _number(entries, "length", expected, label)
    try:
        file = (Path(folder) / location).resolve()
        inside = file.is_relative_to(Path(folder).resolve()) and not Path(location).is_absolute()
        if not location or not inside:
            raise Refusal(f"has the {label} in {location!r}; external data must lie in the model's folder")
        if not file.is_file():
            raise Refusal(f"has the {label} in {location!r}, a file that is not beside the model")
        if length != expected or offset + length > file.stat().st_size:
            raise Refusal(
                f"has the {label} at bytes {offset} to {offset + length} of {location!r}; "
                f"it needs {expected} bytes and the file has {file.stat().st_size}"
            )
        with file.open("rb") as stream:
            stream.seek(offset)
            return stream.read(length)
    except (OSError, ValueError, RuntimeError) as error:  # null characters, loops of links, no permission
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise Refusal(f"has the {label} in {location!r}, which cannot be read ({reason})") from None


def _number(entries, key, default, label):
    text = entries.get(key, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Refusal(f"has the {label} with the {key} {text!r} of its external data; a number is expected")
    return int(text)
