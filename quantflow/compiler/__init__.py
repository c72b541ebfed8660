"""The compiler: a tuned network and a configuration in, a `Deployment` out.

lower → batched → check_widths → choose_columns → place → Schedule → image
"""

import numpy as np

from quantflow import isa
from quantflow.compiler.batching import batched, single
from quantflow.compiler.deployment import Deployment, Program, StageInfo, later_program
from quantflow.compiler.image import Image
from quantflow.compiler.lowering import lower
from quantflow.compiler.phases import choose_columns
from quantflow.compiler.placement import place
from quantflow.compiler.schedule import Options, Schedule
from quantflow.compiler.transfer import Transfer
from quantflow.compiler.widths import check_widths
from quantflow.cycles import MemoryTiming, estimate
from quantflow.errors import UserError
from quantflow.seal import seal_program

__all__ = ["Deployment", "Program", "StageInfo", "Transfer", "compile_batch", "compile_network", "later_program"]


def compile_network(quantized, config, batch=1):
    """Compile a `QuantizedNetwork` for `config`; UserError names the layer or buffer that does not fit.

    A run of the programs computes `batch` images.
    """
    if batch < 1:
        raise UserError(f"a batch has at least 1 image, not {batch}")
    stages, maps, fold = lower(quantized, config)
    network = quantized.network
    shapes = {layer.name: layer.output_shape for layer in network.layers} | {network.input_name: network.input_shape}
    ends = network.input_name, network.layers[-1].name
    if batch == 1:
        return compile_batch(single(stages, maps, *ends), config, fold=fold, shapes=shapes)
    refusals = []
    for wide in (True, False):  # where maps of all images side by side fit, they save most
        forms = [batched(stages, maps, *ends, config, batch, by_layer=order, wide=wide) for order in (True, False)]
        if forms[0].order == forms[1].order:
            forms.pop()
        found = []
        for form in forms:
            try:
                found.append(compile_batch(form, config, fold=fold, shapes=shapes))
            except UserError as error:
                refusals.append(error)
        if found:
            return min(found, key=_cycles)
    raise refusals[-1]  # of what needs least room


def _cycles(deployment):
    return estimate(deployment, MemoryTiming(), later_program(deployment.programs)).cycles


def compile_batch(batch, config, *, fold=None, shapes=None):
    """Compile the stages of a Batch.

    `shapes` are the [C, H, W] that the network has, by the names of its maps, where a map lies in another one, and
    `fold` is what the host does to the input.
    """
    check_widths(batch.stages, batch.maps, config)
    stages, maps, columns = choose_columns(batch.stages, batch.maps, config)
    placement = place(stages, maps, columns, config, inputs=batch.inputs, outputs=batch.outputs)
    image = Image(stages, config)

    def transfer(names, fold=None):
        """Of maps that lie one behind the other: one map, or one of each image."""
        origin, map_ = batch.origin(names[0]), maps[names[0]]
        return Transfer(
            name=origin.name,
            format=map_.format,
            shape=tuple((shapes or {}).get(origin.name, (*map_.shape[:2], map_.shape[2] // origin.pitch))),
            memory_shape=tuple(map_.shape),
            fold=fold,
            layout=placement.layouts[names[0]],
            config=config,
            images=max(len(names), origin.images),
            beside=origin.images > 1,
            image=origin.image,
        )

    written = [stage.destination.map for stage in stages]
    traced = [name for n, name in enumerate(written) if name not in written[n + 1 :]]
    traces = [transfer((name,)) for name in traced]
    offsets, end = {}, 0
    for name in (*batch.outputs, *traced):
        if name not in offsets:
            offsets[name], end = end, end + transfer((name,)).bytes
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
        input=transfer(batch.inputs, fold),
        output=transfer(batch.outputs),
        traces=tuple(traces),
        trace_offsets=tuple(offsets[name] for name in traced),
        work_bytes=placement.work_bytes,
        batch=batch.images,
    )


def _variants(resident, trace_offsets):
    variants = {"cold": Options()}
    if resident:
        variants["warm"] = Options(load_weights=False)
    return variants | {"trace": Options(trace_offsets=trace_offsets)}


def _program(entries, image, config):
    sealed = seal_program([_encoded(entry, config) for entry in entries], config)
    return Program(
        offset=image.append(np.frombuffer(sealed, np.uint8)),
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
