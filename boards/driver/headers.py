"""What the driver in C must know of the machine and of a build, as headers."""

import string

from quantflow.manifest import MODEL
from quantflow.registers import BASE_REGISTERS, BUSY, DONE, FAILED, PORT_REGISTERS, START, STOP, Error, Register

REGISTERS_HEADER, NETWORK_HEADER = "quantflow_registers.h", "network.h"


def c_headers(manifest, model):
    """The headers of a build as file name to text; `model` are the bytes of its model.bin."""
    return {REGISTERS_HEADER: registers_header(), NETWORK_HEADER: network_header(manifest, model)}


def registers_header():
    """The control port's registers and error codes of quantflow.registers."""
    bits = {"START": START, "STOP": STOP, "BUSY": BUSY, "DONE": DONE, "FAILED": FAILED}
    sizes = {"REGIONS": BASE_REGISTERS, "PORTS": PORT_REGISTERS}
    registers = {register.name: f"{register.value:#x}" for register in Register}
    errors = {f"ERROR_{error.name}": error.value for error in Error}
    lines = [f"#define QUANTFLOW_{name} {value}u" for name, value in (registers | bits | sizes | errors).items()]
    about = "The control port of the machine, see quantflow/registers.py."
    return _header("QUANTFLOW_REGISTERS_H", about, lines)


def network_header(manifest, model):
    """Everything that quantflow.h's quantflow_network says of a build."""
    bases, sizes = zip(*manifest.regions(), strict=True)
    values = {
        "identity": manifest.identity,
        "ports": manifest.config.ports,
        "port_bytes": manifest.config.port_bytes,
        "memory_bytes": manifest.memory_bytes,
        "model_address": manifest.model_address,
        "model_bytes": len(model),
        "input_address": manifest.input_address,
        "output_address": manifest.output_address,
        "region_bases": bases,
        "region_sizes": sizes,
        "layers": len(manifest.stages),
        "cold": _program(manifest, "cold"),
        "warm": _program(manifest, "warm"),
        "input": map_values(manifest.input),
        "output": map_values(manifest.output),
    }
    about = f"The network of this build, for quantflow_open with the {len(model)} bytes of {MODEL}."
    body = ",\n".join(f"    .{name} = {_initializer(value)}" for name, value in values.items())
    tables = [_layers(manifest, name) for name in ("cold", "warm") if name in manifest.programs]
    lines = [
        '#include "quantflow.h"',
        "",
        *tables,
        "",
        f"static const quantflow_network quantflow_build = {{\n{body},\n}};",
    ]
    return _header("QUANTFLOW_NETWORK_H", about, lines)


def map_values(transfer):
    """A Transfer as quantflow.h's quantflow_map has it."""
    config, layout, fold = transfer.config, transfer.layout, transfer.fold
    channels, height, width = transfer.shape
    in_memory = dict(zip(("memory_channels", "memory_height", "memory_width"), transfer.memory_shape, strict=True))
    if transfer.beside:
        in_memory["memory_width"] = fold.width if fold else width
    folding = {}
    if fold:
        folding = {
            "folded": 1,
            "fold_rows": fold.rows,
            "fold_row_stride": fold.row_stride,
            "fold_top": fold.top,
            "fold_height": height if fold.height is None else fold.height,
            "fold_columns": fold.columns,
            "fold_stride": fold.stride,
            "fold_left": fold.left,
            "fold_width": fold.width,
        }
    return {
        "bytes": transfer.bytes,
        "images": transfer.images,
        "channels": channels,
        "height": height,
        "width": width,
        "beside": int(transfer.beside),
        **in_memory,
        "pitch": transfer.memory_shape[2] // in_memory["memory_width"],
        **folding,
        "row_stride": layout.row_stride,
        "block_stride": layout.block_stride,
        "phases": layout.phases,
        "groups": layout.groups,
        "pixels": config.pixels,
        "lanes": config.lanes,
        "row_bytes": config.bank_row_bytes,
        "container_bits": config.activation_container_bits,
        "bits": transfer.format.bits,
        "is_signed": int(transfer.format.signed),
        "fractional_length": transfer.format.fl,
    }


def _program(manifest, name):
    if name not in manifest.programs:
        return {"address": 0, "length": 0}
    program = manifest.programs[name]
    return {
        "address": manifest.model_address + program.offset,
        "length": len(program.instructions),
        "recorded": int(len(program.of_unit("compute")) <= manifest.config.profile_depth),
        "layers": _Name(_layers_name(name)),
    }


def _layers(manifest, name):
    """The table of a program's layers."""
    last = {record.stage: n for n, (_, record) in enumerate(manifest.programs[name].of_unit("compute"))}
    rows = ({"name": stage.name, "last": last.get(n, 0)} for n, stage in enumerate(manifest.stages))
    return f"static const quantflow_layer {_layers_name(name)}[] = {_initializer(tuple(rows))};"


def _layers_name(program):
    return f"quantflow_{program}_layers"


class _Name(str):
    """Something that the header has given a name."""


def _initializer(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f".{name} = {_initializer(each)}" for name, each in value.items()) + "}"
    if isinstance(value, tuple):
        return "{" + ", ".join(map(_initializer, value)) + "}"
    if isinstance(value, _Name):
        return value
    if isinstance(value, str):
        return _quoted(value)
    return f"{int(value)}" + "u" * (value >= 0)


def _quoted(text):
    """A string literal; names in a model's file may hold anything."""
    plain = set(string.ascii_letters + string.digits + " _-+./:")
    return '"' + "".join(chr(byte) if chr(byte) in plain else f"\\{byte:03o}" for byte in text.encode()) + '"'


def _header(guard, about, lines):
    return "\n".join([f"/* {about} */", f"#ifndef {guard}", f"#define {guard}", "", *lines, "", "#endif", ""])
