"""Maximum pooling: stages of its own, or fused behind a convolution."""

from dataclasses import replace

from quantflow.compiler.lowering.gather import placed
from quantflow.compiler.stage import Stage, View, blocks
from quantflow.graph import Rectified
from quantflow.isa import Operation

MAX_POOL = 15  # rows and columns of a fused pooling window that the instruction holds


def aligned(lowering, name, *, zeros=True):
    """A Gather that begins at a block, with its channels in a row; of padded rows and columns only with `zeros`."""
    seen = lowering.gather(name)
    padded = seen.rows.padded or seen.columns.padded
    if seen.first_block(lowering.config.lanes) is None or padded and not zeros:
        seen = lowering.materialize(seen, name)
    return seen


def lower_max_pool(lowering, layer):
    """One stage. Zeros that a Pad puts around a map without negative values are not read: no result is below 0."""
    positive = never_negative(lowering, lowering.gather(layer.inputs[0]).map)
    seen = aligned(lowering, layer.inputs[0], zeros=positive)
    view, format = lowering.view(seen.map), lowering.quantized.output_format(layer.name)
    starts, sizes, window = placed(layer.window, seen.rows, seen.columns, layer.output_shape)
    lowering.stages.append(
        Stage(
            layers=(layer.name,),
            operation=Operation.MAXIMUM,
            source=View(
                map=view.map,
                first_block=view.first_block + seen.first_block(lowering.config.lanes),
                first_row=starts[0],
                first_column=starts[1],
            ),
            destination=lowering.written(layer.name),
            input_shape=(seen.shape[0], *sizes),
            output_shape=layer.output_shape,
            window=window,
            input_blocks=1,
            output_blocks=blocks(seen.shape[0], lowering.config.lanes),
            block_step=1,
            least=0 if seen.rows.padded or seen.columns.padded else format.min,
        )
    )


def never_negative(lowering, name):
    """Whether the map of a layer or of the network's input is known to hold nothing below 0."""
    layer = lowering.layers.get(name)
    rectified = isinstance(layer, Rectified) and layer.relu
    return rectified or not lowering.quantized.output_format(name).signed


def fuse_pooling(stages, maps, output, config):
    """Let the requantizer pool behind a convolution, where windows do not overlap and it is quicker.

    Pooling commutes with what the requantizer does, which is monotone. A fused group covers P
    pooled columns, so a narrow map can need more groups than the convolution and a pooling apart. The
    convolution's map, which nothing else may read, no longer exists. Returns stages and maps.
    """
    stages, maps = list(stages), dict(maps)
    for pool in [stage for stage in stages if stage.operation == Operation.MAXIMUM]:
        name = pool.source.map
        writers = [stage for stage in stages if stage.destination.map == name]
        readers = [stage for stage in stages if name in _read(stage)]
        if len(writers) != 1 or len(readers) != 1 or name == output or not _pools_behind(writers[0], pool):
            continue
        before = writers[0]
        combined = replace(
            before,
            layers=before.layers + pool.layers,
            destination=pool.destination,
            output_shape=pool.output_shape,
            pool=pool.window.kernel,
        )
        representable = combined.column_step <= config.most_column_step and max(combined.pool) <= MAX_POOL
        if representable and combined.cycles(config) <= before.cycles(config) + pool.cycles(config):
            stages[stages.index(before)] = combined
            stages.remove(pool)
            del maps[name]
    return stages, maps


def _read(stage):
    return {stage.source.map} | ({stage.residual.view.map} if stage.residual else set())


def _pools_behind(before, pool):
    return (
        before.operation == Operation.CONVOLVE
        and before.pool == (1, 1)
        and before.residual is None
        and before.output_shape == pool.input_shape
        and pool.source == before.destination == View(map=before.destination.map)
        and pool.window.kernel == pool.window.stride
        and pool.window.dilation == (1, 1)
        and not any(pool.window.padding)
    )
