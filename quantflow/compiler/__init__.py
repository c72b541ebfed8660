"""The compiler: a tuned network and a configuration in, a `Deployment` out.

lower → check_widths → choose_columns → place → Schedule → image
"""

import numpy as np

from quantflow import isa
from quantflow.compiler.deployment import Deployment, Program, StageInfo
from quantflow.compiler.image import Image
from quantflow.compiler.lowering import lower
from quantflow.compiler.phases import choose_columns
from quantflow.compiler.placement import place
from quantflow.compiler.schedule import Options, Schedule
from quantflow.compiler.transfer import Transfer
from quantflow.compiler.widths import check_widths
from quantflow.errors import UserError

__all__ = ["Deployment", "Program", "StageInfo", "Transfer", "compile_network", "compile_stages"]


def compile_network(quantized, config):
    """Compile a `QuantizedNetwork` for `config`; UserError names the layer or buffer that does not fit."""
    stages, maps, fold = lower(quantized, config)
    network = quantized.network
    shapes = {layer.name: layer.output_shape for layer in network.layers} | {network.input_name: network.input_shape}
    ends = {"input": network.input_name, "output": network.layers[-1].name}
    return compile_stages(stages, maps, config, **ends, fold=fold, shapes=shapes)


def compile_stages(stages, maps, config, *, input, output, fold=None, shapes=None):
    """Compile lowered stages, in a valid order.

    `maps` are FeatureMaps by name, `input` and `output` name two of them; `shapes` are the [C, H, W] that the
    network has, where a map lies in another one, and `fold` is what the host does to the input.
    """
    check_widths(stages, maps, config)
    stages, maps, columns = choose_columns(stages, maps, config)
    placement = place(stages, maps, columns, config, input=input, output=output)
    image = Image(stages, config)

    def transfer(name, fold=None):
        return Transfer(
            name=name,
            format=maps[name].format,
            shape=tuple((shapes or {}).get(name, maps[name].shape)),
            memory_shape=tuple(maps[name].shape),
            fold=fold,
            layout=placement.layouts[name],
            config=config,
        )

    written = [stage.destination.map for stage in stages]
    traced = [name for n, name in enumerate(written) if name not in written[n + 1 :]]
    traces = [transfer(name) for name in traced]
    offsets, end = {output: 0}, transfer(output).bytes
    for trace in traces:
        if trace.name not in offsets:
            offsets[trace.name], end = end, end + trace.bytes
    programs = {}
    for name, options in _variants(placement.resident, offsets).items():
        entries = Schedule(stages, maps, columns, placement, image, config, options).entries
        programs[name] = _program(entries, image, config)
        cycles = _array_cycles(entries, len(stages))
    return Deployment(
        config=config,
        stages=tuple(_info(stage, cycles[number]) for number, stage in enumerate(stages)),
        programs=programs,
        image=image.finish(),
        input=transfer(input, fold),
        output=transfer(output),
        traces=tuple(traces),
        trace_offsets=tuple(offsets[name] for name in traced),
        work_bytes=placement.work_bytes,
    )


def _variants(resident, trace_offsets):
    variants = {"cold": Options()}
    if resident:
        variants["warm"] = Options(load_weights=False)
    return variants | {"trace": Options(trace_offsets=trace_offsets)}


def _program(entries, image, config):
    size = isa.instruction_bits(config) // 8
    words = b"".join(_encoded(entry, config).to_bytes(size, "little") for entry in entries)
    return Program(
        offset=image.append(np.frombuffer(words, np.uint8)),
        instructions=tuple(entry.instruction() for entry in entries),
        labels=tuple(entry.label for entry in entries),
        stages=tuple(entry.stage for entry in entries),
        causes=tuple(entry.cause for entry in entries),
        beat_bytes=config.beat_bytes,
    )


def _encoded(entry, config):
    try:
        return isa.encode(entry.instruction(), config)
    except ValueError as error:
        raise UserError(f"{entry.label} does not fit the instruction set: {error}") from None


def _array_cycles(entries, count):
    cycles = [0] * count
    for entry in entries:
        cycles[entry.stage] += entry.array_cycles
    return cycles


def _info(stage, cycles):
    return StageInfo(name=stage.name, layers=stage.layers, macs=stage.macs, array_cycles=cycles)
