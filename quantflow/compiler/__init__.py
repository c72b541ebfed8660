"""The compiler: a tuned network and a configuration in, a `Deployment` out.

    lower → fuse_pooling → fold_input → check_widths → place_maps, place_weights → Schedule → image
"""

from quantflow.compiler.deployment import Deployment, Program, StageInfo
from quantflow.compiler.image import ImageBuilder, parameter_bytes, program_bytes, weight_bytes
from quantflow.compiler.lowering import fold_input, fuse_pooling, lower
from quantflow.compiler.placement import place_maps, place_weights
from quantflow.compiler.schedule import Placed, Schedule
from quantflow.compiler.transfer import Transfer
from quantflow.compiler.widths import check_widths
from quantflow.errors import UserError

__all__ = ["Deployment", "Program", "StageInfo", "Transfer", "compile_network"]


def compile_network(quantized, config):
    """Compile a `QuantizedNetwork` for `config`; UserError names the layer or buffer that does not fit."""
    stages = fuse_pooling(lower(quantized), config)
    stages, fold = fold_input(stages, config)
    check_widths(stages, quantized, config)
    layouts = place_maps(stages, config)
    chunks, resident = place_weights(stages, config)
    placed = Placed(config=config, stages=stages, layouts=layouts, chunks=chunks)
    builder = ImageBuilder()
    for chunk in chunks:
        stage = stages[chunk.stage]
        placed.parameter_offsets.append(builder.append(parameter_bytes(chunk, stage, config)))
        placed.weight_offsets.append(builder.append(weight_bytes(chunk, stage, config)))
    programs = {}
    for name, options in _variants(resident).items():
        entries = Schedule(placed, **options).entries
        instructions = tuple(entry.instruction() for entry in entries)
        programs[name] = Program(
            offset=builder.append(_encoded(instructions, entries, config)),
            instructions=instructions,
            labels=tuple(entry.label for entry in entries),
            stages=tuple(entry.stage for entry in entries),
        )
    traces = [_transfer(quantized, stage.layers[-1], stage.output_shape, config) for stage in stages]
    return Deployment(
        config=config,
        stages=tuple(_info(stage, config) for stage in stages),
        programs=programs,
        image=builder.finish(),
        input=_transfer(quantized, quantized.network.input_name, stages[0].input_shape, config, fold),
        output=traces[-1],
        traces=tuple(traces),
        trace_offsets=tuple(sum(t.bytes for t in traces[:i]) for i in range(len(traces))),
    )


def _variants(resident):
    variants = {"cold": {"load_weights": True, "store_every_stage": False}}
    if resident:
        variants["warm"] = {"load_weights": False, "store_every_stage": False}
    return variants | {"trace": {"load_weights": True, "store_every_stage": True}}


def _encoded(instructions, entries, config):
    for instruction, entry in zip(instructions, entries, strict=True):
        try:
            program_bytes([instruction], config)
        except ValueError as error:
            raise UserError(f"{entry.label} does not fit the instruction set: {error}") from None
    return program_bytes(instructions, config)


def _transfer(quantized, name, memory_shape, config, fold=None):
    network = quantized.network
    return Transfer(
        name=name,
        format=quantized.output_format(name),
        shape=network.input_shape if name == network.input_name else network[name].output_shape,
        memory_shape=memory_shape,
        fold=fold,
        lanes=config.lanes,
        container_bits=config.activation_container_bits,
    )


def _info(stage, config):
    return StageInfo(name=stage.name, layers=stage.layers, macs=stage.macs, array_cycles=stage.cycles(config))
