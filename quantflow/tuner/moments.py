"""What a layer's input is like on the calibration images: the moments that the weights' steps need."""

from dataclasses import dataclass, field, replace

import numpy as np

from quantflow.arithmetic import dequantize
from quantflow.graph import Dense
from quantflow.windows import windows

COLUMN_BYTES = 1 << 25  # of unfolded windows at a time
MAX_COLUMNS = 4608  # inputs of one output (512 channels of 3x3), up to which second moments are taken


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """Means over every window of every calibration image; K is the number of weights of one output.

    `second` is drawn towards its diagonal: the variance of each x is added K / (K + windows) times. With few
    windows for many weights (fully connected layers) the calibration images would otherwise leave directions
    in which an error seems to cost nothing.

    With x the fixed-point network's window, x_float the float network's at the same place, d their
    difference x_float - x and W the float weights [O, K]:
    """

    mean: np.ndarray = field(repr=False)  # E[x], float64 [K]
    mean_float: np.ndarray = field(repr=False)  # E[x_float], float64 [K]
    second: np.ndarray | None = field(repr=False)  # E[x x'], float64 [K, K]; None above MAX_COLUMNS
    cross: np.ndarray | None = field(repr=False)  # E[W d x'], float64 [O, K]; None above MAX_COLUMNS
    cross_mean: np.ndarray = field(repr=False)  # E[W d], float64 [O]

    def about_mean(self):
        """The same moments of inputs that have their mean taken off: what counts once the bias is free."""
        second = self.second - np.outer(self.mean, self.mean)
        cross = self.cross - np.outer(self.cross_mean, self.mean)
        return replace(self, second=second, cross=cross, cross_mean=np.zeros_like(self.cross_mean))


def input_moments(layer, exact, fixed, input_format, slices):
    """The Moments of one layer's input: maps `exact` (float) and `fixed` (integers of `input_format`).

    Both are [N, C, H, W], `slices` cut N into batches. The moments of x are sums of integers times a power
    of two, exact in float64 whatever the batches.
    """
    weight = layer.weight.reshape(len(layer.weight), -1).astype(np.float64)
    width = weight.shape[1]
    sums = np.zeros((2, width))
    second = cross = None
    if width <= MAX_COLUMNS:
        second, cross = np.zeros((width, width)), np.zeros(weight.shape)
    count = 0
    for batch in _batches(layer, slices):
        x = unfold(layer, dequantize(fixed[batch], input_format))
        x_float = unfold(layer, exact[batch].astype(np.float64))
        count += x.shape[1]
        sums += x.sum(axis=1), x_float.sum(axis=1)
        if second is not None:
            second += x @ x.T
            cross += (weight @ (x_float - x)) @ x.T
    mean, mean_float = sums / count
    if second is not None:
        second, cross = second / count, cross / count
        variance = np.maximum(np.diag(second) - mean**2, 0)
        second += np.diag(variance * (width / (width + count)))
    drift = weight @ (mean_float - mean)
    return Moments(mean=mean, mean_float=mean_float, second=second, cross=cross, cross_mean=drift)


def unfold(layer, x):
    """Every window of the maps [N, C, H, W] as a column: [K, windows], K in the order of the weights."""
    if isinstance(layer, Dense):
        return np.ascontiguousarray(x.reshape(len(x), -1).T)
    return windows(x, layer.window, fill=0).transpose(1, 2, 3, 0, 4, 5).reshape(layer.weight[0].size, -1)


def _batches(layer, slices):
    """The slices, cut further so that a batch's unfolded windows take about COLUMN_BYTES."""
    pixels = layer.output_shape[1] * layer.output_shape[2]
    step = max(1, COLUMN_BYTES // (8 * layer.weight[0].size * pixels))
    for s in slices:
        for start in range(s.start, s.stop, step):
            yield slice(start, min(start + step, s.stop))
