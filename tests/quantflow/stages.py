"""What stages mean: straightforward numpy over the definition in `compiler/stage.py`."""

import numpy as np

from quantflow.arithmetic import round_half_even_shift
from quantflow.isa import Operation


def run_stages(stages, maps, inputs, config):
    """All maps as int64 arrays by name, in whole blocks: [N, blocks * lanes, H, W].

    `maps` are the FeatureMaps by name, `inputs` integers [N, C, H, W] of the maps that no stage writes, as the
    host lays them out. What nobody has written holds an odd value, so that reading it is seen.
    """
    count = len(next(iter(inputs.values())))
    values = {}
    for name, map_ in maps.items():
        channels, height, width = map_.shape
        values[name] = np.full((count, -(-channels // config.lanes) * config.lanes, height, width), map_.format.max)
        if name in inputs:
            values[name][:, :channels] = inputs[name]
    for stage in stages:
        for block in range(stage.output_blocks):
            results = _pooled(stage, _results(stage, values, block, config))
            view, lanes = stage.destination, slice(block * config.lanes, (block + 1) * config.lanes)
            lanes = slice(lanes.start + view.first_block * config.lanes, lanes.stop + view.first_block * config.lanes)
            _, rows, columns = stage.output_shape
            target = values[view.map][
                :, lanes, view.first_row : view.first_row + rows, view.first_column : view.first_column + columns
            ]
            assert target.shape == results.shape, stage.name
            target[:] = results
    return values


def _results(stage, values, block, config):
    """Results [N, lanes, rows, columns] of an output block, before the pooling."""
    fill = stage.least if stage.operation == Operation.MAXIMUM else 0
    taps = _taps(stage, values[stage.source.map], block, config, fill)
    if stage.operation == Operation.MAXIMUM:
        return np.maximum(taps.max(axis=1), stage.least)
    sums = _sums(stage, values, taps, block, config)
    lanes = slice(block * config.lanes, (block + 1) * config.lanes)
    bias, shift, greatest = (array[lanes, None, None] for array in (stage.bias, stage.shift, stage.greatest))
    totals = (sums + bias) >> stage.dropped_bits << stage.dropped_bits
    return np.clip(round_half_even_shift(totals, shift), stage.least, greatest)


def _taps(stage, source, block, config, fill):
    """[N, kernel row * column, input blocks * lanes, rows, columns], `fill` where the window is outside."""
    channels = (stage.source.first_block + block * stage.block_step) * config.lanes
    _, height, width = stage.input_shape
    row, column = stage.source.first_row, stage.source.first_column
    part = source[
        :, channels : channels + stage.input_blocks * config.lanes, row : row + height, column : column + width
    ]
    assert part.shape[1:] == (stage.input_blocks * config.lanes, height, width), stage.name
    window = stage.window
    top, left, bottom, right = window.padding
    part = np.pad(part, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    rows, columns = (size * pool for size, pool in zip(stage.output_shape[1:], stage.pool, strict=True))
    taps = []
    for ky in range(window.kernel[0]):
        for kx in range(window.kernel[1]):
            y, x = ky * window.dilation[0], kx * window.dilation[1]
            down, across = window.stride
            taps.append(part[:, :, y : y + (rows - 1) * down + 1 : down, x : x + (columns - 1) * across + 1 : across])
            assert taps[-1].shape[2:] == (rows, columns), stage.name
    return np.stack(taps, axis=1)


def _sums(stage, values, taps, block, config):
    """Accumulators [N, lanes, rows, columns]; asserts that they fit."""
    words = stage.words[0 if stage.uniform else block].astype(np.int64)
    steps = taps.reshape(len(taps), -1, config.lanes, *taps.shape[3:])  # kernel row, kernel column, block
    parts, at = [], 0
    residual = stage.residual
    if residual is not None:
        added = _residual(stage, residual, values[residual.view.map], block, config)
        for number in range(residual.passes):
            parts.append((added, words[at : at + residual.blocks], number > 0))
            at += residual.blocks
    for number in range(stage.passes):
        length = 1 if stage.uniform else stage.kernel_steps
        part = np.broadcast_to(words[at : at + length], (stage.kernel_steps, config.lanes, config.lanes))
        parts.append((steps, part, number > 0 or residual is not None and not residual.aligned))
        at += length
    assert at == len(words), stage.name
    sums = np.zeros((len(taps), config.lanes, *taps.shape[3:]), np.int64)
    for operands, weights, shifts in parts:
        sums = sums << config.pass_shift if shifts else sums
        sums = sums + _products(operands, weights)
        limit = 1 << (config.accumulator_bits - 1)
        assert -limit <= sums.min() and sums.max() < limit, stage.name
    return sums


def _products(operands, weights):
    """[N, step, in, rows, columns] by [step, out, in], exact in float64."""
    matrix = weights.transpose(1, 0, 2).reshape(weights.shape[1], -1).astype(np.float64)
    flat = operands.reshape(len(operands), matrix.shape[1], -1).astype(np.float64)
    return np.matmul(matrix, flat).astype(np.int64).reshape(len(operands), -1, *operands.shape[3:])


def _residual(stage, residual, source, block, config):
    """[N, blocks, lanes, rows, columns] of what enters the sums."""
    assert stage.pool == (1, 1), stage.name
    view = residual.view
    channels = (view.first_block + block * residual.block_step) * config.lanes
    _, rows, columns = stage.output_shape
    down, across = residual.stride
    part = source[
        :,
        channels : channels + residual.blocks * config.lanes,
        view.first_row : view.first_row + (rows - 1) * down + 1 : down,
        view.first_column : view.first_column + (columns - 1) * across + 1 : across,
    ]
    assert part.shape[1:] == (residual.blocks * config.lanes, rows, columns), stage.name
    return part.reshape(len(part), residual.blocks, config.lanes, rows, columns)


def _pooled(stage, results):
    count, lanes, rows, columns = results.shape
    down, across = stage.pool
    return results.reshape(count, lanes, rows // down, down, columns // across, across).max(axis=(3, 5))


def mismatches(stages, maps, fold, quantized, images, config, expected):
    """Names of the maps of which run_stages gives other integers than the integer engine's `expected`.

    Also those that stages made for themselves are run; they have nothing to be compared with.
    """
    name = quantized.network.input_name
    inputs = {name: images if fold is None else fold.apply(images)}
    values = run_stages(stages, maps, inputs, config)
    return [
        name
        for name, map_ in maps.items()
        if name in expected
        and name not in inputs
        and not np.array_equal(values[name][:, : map_.shape[0]], expected[name])
    ]
