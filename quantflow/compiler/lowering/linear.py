"""Stages of a layer that multiplies: sums of products over one map, with another one entering them."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from quantflow.arithmetic import signed_bits
from quantflow.compiler.lowering.digits import channel_bits, digits, fit
from quantflow.compiler.lowering.gather import Gather, placed
from quantflow.compiler.lowering.words import array_words, cover
from quantflow.compiler.stage import Residual, Stage, View, blocks
from quantflow.errors import UserError
from quantflow.graph import Window
from quantflow.isa import Operation

WORTH = 0.75  # a layer is cut into several stages where they take less than so much of one stage's steps


@dataclass(frozen=True, kw_only=True, eq=False)
class Terms:
    """Output channel o sums weight[o, j] times channel channels[o, j] of a Gather over j and the window's taps."""

    source: Gather
    channels: np.ndarray = field(repr=False)  # int [O, J], -1 for none
    weight: np.ndarray = field(repr=False)  # integers [O, J, kh, kw]
    window: Window

    @cached_property
    def map_channels(self):
        """The same in the map's own channels."""
        return np.where(self.channels >= 0, self.source.channels[self.channels], -1)


def append_linear(
    lowering, *, layers, terms, output_shape, destination, bias, shift, least, greatest, residual=None, runs=(), macs=0
):
    """Append the stages of y = clip(round(sum(terms) + sum(residual) + bias, shift), least, greatest).

    `residual` are Terms of one pixel whose weights are powers of two. `bias`, `shift`, `greatest` are [O] or
    numbers. `runs` are numbers of output blocks that read nothing in common, each worth a stage of its own if
    steps are saved by it.
    """
    config = lowering.config
    count = len(terms.weight)
    if residual is not None and not config.residuals:
        raise UserError(f"the machine has no residuals: layer {layers[0]} adds another map to its sums")
    scales = _scales(lowering, layers, terms, residual)
    residual_digits = None
    if residual is not None:
        exponents = channel_bits(residual.weight) - 2 + scales.left - scales.unit
        weights = np.where(residual.weight[:, 0, 0, 0] > 0, np.int64(1) << np.maximum(exponents, 0), 0)
        residual_digits = digits(weights.reshape(-1, 1, 1, 1), scales.residual_passes, config)
    weight = terms.weight
    if scales.left.any():
        weight = weight.astype(np.int64) << scales.left.reshape(-1, 1, 1, 1)
    work = _Work(
        terms=terms,
        residual=residual,
        digits=digits(weight, scales.passes, config),
        residual_digits=residual_digits,
        aligned=scales.aligned,
        bias=np.broadcast_to(bias, (count,)).astype(np.int64) << scales.left,
        shift=(np.broadcast_to(shift, (count,)) + scales.left).astype(np.int32),
        greatest=np.broadcast_to(greatest, (count,)).astype(np.int64),
    )
    for first, stop in _cuts(lowering, work, runs):
        part = slice(first * config.lanes, min(stop * config.lanes, count))
        share = macs * (part.stop - part.start) // count
        shape = (part.stop - part.start, *output_shape[1:])
        lowering.stages.append(_stage(lowering, work, part, shape, destination, first, layers, int(least), share))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Work:
    terms: Terms
    residual: Terms | None
    digits: np.ndarray  # [pass, O, J, kh, kw]
    residual_digits: np.ndarray | None
    aligned: bool
    bias: np.ndarray
    shift: np.ndarray
    greatest: np.ndarray


def _scales(lowering, layers, terms, residual):
    steps = terms.window.kernel[0] * terms.window.kernel[1] * blocks(terms.source.shape[0], lowering.config.lanes)
    bits = channel_bits(terms.weight)
    added = np.zeros_like(bits) if residual is None else channel_bits(residual.weight)
    scales = fit(bits, added, (steps, 1), lowering.config)
    if scales is None:
        raise UserError(
            f"layer {layers[0]} has weights of {bits.max()} bits and a map added to their sums that is too fine "
            f"for weights of {lowering.config.weight_bits} bits in several passes"
        )
    return scales


def _cuts(lowering, work, runs):
    """Runs of output blocks (first, stop), a stage each."""
    lanes = lowering.config.lanes
    total = blocks(len(work.bias), lanes)
    choices = [(total,), tuple(runs), (1,) * total] if runs else [(total,), (1,) * total]
    costs = []
    for sizes in choices:
        stops = np.cumsum(sizes)
        costs.append(
            sum(_steps(lowering, work, int(stop - size), int(stop)) for size, stop in zip(sizes, stops, strict=True))
        )
    best = min(range(len(choices)), key=lambda n: costs[n])
    if costs[best] >= WORTH * costs[0]:
        best = 0
    stops = np.cumsum(choices[best]).tolist()
    return list(zip([0, *stops[:-1]], stops, strict=True))


def _steps(lowering, work, first, stop):
    lanes, rows = lowering.config.lanes, slice(first * lowering.config.lanes, stop * lowering.config.lanes)
    found = cover(work.terms.map_channels[rows], _total(lowering, work.terms), lanes)
    steps = len(work.digits) * work.digits.shape[3] * work.digits.shape[4] * found.count
    if work.residual is not None:
        found = cover(work.residual.map_channels[rows], _total(lowering, work.residual), lanes)
        steps += len(work.residual_digits) * found.count
    return (stop - first) * steps


def _total(lowering, terms):
    return blocks(lowering.shape_of_map(terms.source.map)[0], lowering.config.lanes)


def _stage(lowering, work, part, shape, destination, first_block, layers, least, macs):
    config, terms = lowering.config, work.terms
    channels = terms.map_channels[part]
    found = cover(channels, _total(lowering, terms), config.lanes)
    starts, sizes, window = placed(terms.window, terms.source.rows, terms.source.columns, shape)
    view = lowering.view(terms.source.map)
    parts = [array_words(channels, digit[part], found, config.lanes) for digit in work.digits]
    words = [np.stack(parts, axis=1).reshape(len(parts[0]), -1, config.lanes, config.lanes)]
    residual = None
    if work.residual is not None:
        residual, added = _residual(lowering, work, part)
        words = [added, *words]
    words = np.concatenate(words, axis=1) if len(words) > 1 else words[0]
    padding = (0, -(part.stop - part.start) % config.lanes)
    available = found.count * config.lanes
    beyond = (found.first + (len(parts[0]) - 1) * found.step) * config.lanes
    held = lowering.shape_of_map(terms.source.map)[0]
    return Stage(
        layers=layers,
        operation=Operation.CONVOLVE,
        source=View(
            map=view.map, first_block=view.first_block + found.first, first_row=starts[0], first_column=starts[1]
        ),
        destination=View(map=destination.map, first_block=destination.first_block + first_block),
        input_shape=(min(beyond + available, held) - found.first * config.lanes, *sizes),
        output_shape=shape,
        window=window,
        input_blocks=found.count,
        output_blocks=len(parts[0]),
        block_step=found.step,
        passes=len(work.digits),
        residual=residual,
        words=words.astype(np.int8 if config.weight_bits <= 8 else np.int16),
        weight_bits=max(2, signed_bits(words.min(), words.max())),
        bias=np.pad(work.bias[part], padding),
        shift=np.pad(work.shift[part], padding),
        greatest=np.pad(work.greatest[part], padding),
        least=least,
        macs=macs,
    )


def _residual(lowering, work, part):
    """The Residual of some output channels, and its words [output block, step, out, in]; rows and columns have no
    padding."""
    config, terms = lowering.config, work.residual
    channels = terms.map_channels[part]
    found = cover(channels, _total(lowering, terms), config.lanes)
    view, seen = lowering.view(terms.source.map), terms.source
    parts = [array_words(channels, digit[part], found, config.lanes) for digit in work.residual_digits]
    residual = Residual(
        view=View(
            map=view.map,
            first_block=view.first_block + found.first,
            first_row=seen.rows.start,
            first_column=seen.columns.start,
        ),
        blocks=found.count,
        block_step=found.step,
        passes=len(parts),
        stride=(seen.rows.step, seen.columns.step),
        aligned=work.aligned,
    )
    return residual, np.stack(parts, axis=1).reshape(len(parts[0]), -1, config.lanes, config.lanes)
