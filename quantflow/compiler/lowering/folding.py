"""The first layer's kernel laid out as channels of the input, where few channels would leave lanes idle."""

from dataclasses import dataclass, replace

import numpy as np

from quantflow.compiler.stage import View, blocks
from quantflow.graph import Window
from quantflow.isa import Operation


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Kernel columns, and maybe rows, laid out as channels of the input, by the host.

    folded[(c * rows + j) * columns + k, y, x] = input[c, y * row_stride + j - top, x * stride + k - left], zero
    outside the image.
    """

    columns: int  # kernel columns
    stride: int
    left: int  # columns of padding on the left
    width: int  # columns of the folded map
    rows: int = 1  # kernel rows
    row_stride: int = 1
    top: int = 0  # rows of padding above
    height: int | None = None  # rows of the folded map; None: the image's

    def apply(self, maps):
        """Integer maps [N, C, H, W] to [N, C * rows * columns, height, width]."""
        count, channels, image_height, image_width = maps.shape
        height = image_height if self.height is None else self.height
        taps = _shifted(maps, 3, self.columns, self.stride, self.left, self.width)
        taps = [_shifted(tap, 2, self.rows, self.row_stride, self.top, height) for tap in taps]
        folded = np.stack([np.stack(rows, axis=2) for rows in taps], axis=3)
        return folded.reshape(count, channels * self.rows * self.columns, height, self.width)


def _shifted(maps, axis, taps, stride, before, size):
    """For each tap of a kernel, the rows or columns of padded maps that it reads for `size` results."""
    reach = (size - 1) * stride + 1
    after = max(0, reach - 1 + taps - before - maps.shape[axis])
    padding = [(0, 0)] * maps.ndim
    padding[axis] = (before, after)
    padded = np.moveaxis(np.pad(maps, padding), axis, 0)
    return [np.moveaxis(padded[tap : tap + reach : stride], 0, axis) for tap in range(taps)]


def fold_input(stages, maps, name, config):
    """Fold the first kernel's columns, or columns and rows, into the input's channels where that is quicker.

    Returns the stages, the maps, in which the input `name` has the shape that the host lays out, and the
    `Fold`, or None. The cost of a form is the longer of its array cycles and the beats of its input.
    """
    readers = [stage for stage in stages if name in (stage.source.map, stage.residual and stage.residual.view.map)]
    if len(readers) != 1 or not _foldable(readers[0], maps[name].shape):
        return stages, maps, None
    (first,) = readers
    forms = [_folded(first, form, config) for form in _forms(first)]
    costs = [_input_cost(stage, config) for stage in (first, *(stage for stage, _ in forms))]
    best = min(range(len(costs)), key=lambda n: costs[n])
    if best == 0:
        return stages, maps, None
    stage, fold = forms[best - 1]
    maps = maps | {name: replace(maps[name], shape=stage.input_shape)}
    return [stage if each is first else each for each in stages], maps, fold


def _foldable(stage, shape):
    return (
        stage.operation == Operation.CONVOLVE
        and not stage.uniform
        and stage.block_step == 0
        and stage.source == View(map=stage.source.map)
        and (stage.residual is None or stage.residual.view.map != stage.source.map)
        and stage.input_shape == shape
        and stage.window.dilation == (1, 1)
    )


def _forms(stage):
    """The ways to fold a stage's input."""
    window, (_, rows, columns) = stage.window, stage.input_shape
    top, left, bottom, right = window.padding
    height, width = window.output_size(rows, columns)
    across = Fold(columns=window.kernel[1], stride=window.stride[1], left=left, width=width)
    forms = [across] if window.kernel[1] > 1 else []
    if window.kernel[0] > 1:
        both = {"rows": window.kernel[0], "row_stride": window.stride[0], "top": top, "height": height}
        forms.append(replace(across, **both))
    return forms


def _folded(stage, fold, config):
    """The stage that reads the input as `fold` lays it out, and the fold."""
    channels, height, _ = stage.input_shape
    (rows, columns), lanes = stage.window.kernel, config.lanes
    kept = rows // fold.rows  # kernel rows that are left
    top, _, bottom, _ = stage.window.padding
    window = Window(kernel=(kept, 1), stride=(stage.window.stride[0], 1), padding=(top, 0, bottom, 0))
    if fold.height is not None:
        window, height = Window(kernel=(1, 1)), fold.height
    first = stage.residual_steps
    words = stage.words[:, first:].reshape(
        stage.output_blocks, stage.passes, kept, fold.rows, columns, stage.input_blocks, lanes, lanes
    )
    weight = words.transpose(0, 1, 2, 6, 5, 7, 3, 4)  # [block, pass, row, out, input block, in, folded row, column]
    weight = weight.reshape(*weight.shape[:4], -1, fold.rows, columns)[..., :channels, :, :]
    weight = weight.reshape(*weight.shape[:4], -1)
    inputs = weight.shape[-1]
    weight = np.pad(weight, [(0, 0)] * 4 + [(0, -inputs % lanes)])
    weight = weight.reshape(*weight.shape[:4], -1, lanes).transpose(0, 1, 2, 4, 3, 5)
    folded = replace(
        stage,
        input_shape=(inputs, height, fold.width),
        window=window,
        input_blocks=blocks(inputs, lanes),
        words=np.concatenate([stage.words[:, :first], weight.reshape(len(weight), -1, lanes, lanes)], axis=1),
    )
    return folded, fold


def _input_cost(stage, config):
    channels, height, width = stage.input_shape
    phases = stage.column_step
    rows_of_banks = height * blocks(channels, config.lanes) * phases * -(-width // (phases * config.pixels))
    return max(stage.cycles(config), rows_of_banks * config.bank_row_beats)
