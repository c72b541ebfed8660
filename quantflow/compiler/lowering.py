"""From the tuned network's layers to the machine's stages: passes over a list of stages."""

from dataclasses import dataclass, replace

import numpy as np

from quantflow.capabilities import check_machine
from quantflow.compiler.stage import Stage, blocks
from quantflow.errors import UserError
from quantflow.graph import Convolution, Dense, MaxPool, Window
from quantflow.isa import Operation


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Kernel columns laid out as channels of the input, by the host.

    folded[c * columns + k, y, x] = input[c, y, x * stride + k - left], zero outside the image.
    """

    columns: int  # kernel columns
    stride: int
    left: int  # columns of padding on the left
    width: int  # columns of the folded map

    def apply(self, maps):
        """Integer maps [N, C, H, W] to [N, C * columns, H, width]."""
        count, channels, height, width = maps.shape
        needed = (self.width - 1) * self.stride + self.columns
        right = max(0, needed - self.left - width)
        padded = np.pad(maps, ((0, 0), (0, 0), (0, 0), (self.left, right)))
        reach = (self.width - 1) * self.stride + 1
        taps = [padded[..., k : k + reach : self.stride] for k in range(self.columns)]
        return np.stack(taps, axis=2).reshape(count, channels * self.columns, height, self.width)


def lower(quantized):
    """One stage a layer. A fully connected layer is a convolution whose kernel covers its input."""
    check_machine(quantized)
    stages, source = [], quantized.network.input_name
    for layer in quantized.network.layers:
        if layer.inputs != (source,):
            raise UserError(f"layer {layer.name} does not read the layer before it: only chains are compiled")
        stages.append(_stage(layer, quantized))
        source = layer.name
    return stages


def _stage(layer, quantized):
    common = {
        "layers": (layer.name,),
        "input_shape": layer.input_shape,
        "output_shape": layer.output_shape,
        "output_bits": quantized.output_format(layer.name).bits,
        "macs": layer.macs,
    }
    if isinstance(layer, MaxPool):
        return Stage(operation=Operation.MAXIMUM, window=layer.window, **common)
    if not isinstance(layer, (Convolution, Dense)):
        raise UserError(f"layer {layer.name}: the machine has no {type(layer).__name__}")
    integers = quantized.layers[layer.name]
    window = layer.window if isinstance(layer, Convolution) else Window(kernel=layer.input_shape[1:])
    return Stage(
        operation=Operation.CONVOLVE,
        window=window,
        relu=layer.relu,
        weight=integers.weight.reshape(len(integers.bias), layer.input_shape[0], *window.kernel),
        weight_bits=integers.weight_bits,
        bias=integers.bias,
        shift=integers.shift,
        **common,
    )


def fuse_pooling(stages, config):
    """Let the requantizer pool behind a convolution, where windows do not overlap and it is quicker.

    Pooling commutes with what the requantizer does, which is monotone. A fused group covers P
    pooled columns, so a narrow map can need more groups than the convolution and a pooling apart.
    """
    fused = []
    for stage in stages:
        before = fused[-1] if fused else None
        if before is not None and _pools_behind(before, stage):
            combined = replace(
                before,
                layers=before.layers + stage.layers,
                output_shape=stage.output_shape,
                pool=stage.window.kernel,
            )
            representable = combined.phases < 1 << config.phase_bits and max(combined.pool) < 16
            if representable and combined.cycles(config) <= before.cycles(config) + stage.cycles(config):
                fused[-1] = combined
                continue
        fused.append(stage)
    return fused


def _pools_behind(before, stage):
    return (
        before.operation == Operation.CONVOLVE
        and stage.operation == Operation.MAXIMUM
        and before.pool == (1, 1)
        and stage.window.kernel == stage.window.stride
        and stage.window.padding == (0, 0, 0, 0)
    )


def fold_input(stages, config):
    """Lay the first kernel's columns out as channels where its few channels leave lanes idle.

    Returns the stages and the `Fold` that the host applies to the input, or None. The cost of
    either form is the longer of its array cycles and the beats of its input.
    """
    first = stages[0]
    if first.operation != Operation.CONVOLVE or first.window.kernel[1] == 1:
        return stages, None
    channels, height, width = first.input_shape
    kernel, stride, (top, left, bottom, _) = first.window.kernel, first.window.stride, first.window.padding
    columns = (width + left + first.window.padding[3] - kernel[1]) // stride[1] + 1
    fold = Fold(columns=kernel[1], stride=stride[1], left=left, width=columns)
    folded = replace(
        first,
        input_shape=(channels * kernel[1], height, columns),
        window=Window(kernel=(kernel[0], 1), stride=(stride[0], 1), padding=(top, 0, bottom, 0)),
        weight=first.weight.transpose(0, 1, 3, 2).reshape(len(first.bias), -1, kernel[0], 1),
    )
    if _input_cost(folded, config) >= _input_cost(first, config):
        return stages, None
    return [folded, *stages[1:]], fold


def _input_cost(stage, config):
    channels, height, width = stage.input_shape
    beats = height * width * blocks(channels, config.lanes) * config.activation_word_beats
    return max(stage.cycles(config), beats)
