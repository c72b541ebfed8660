"""What a layer's input is like on the calibration images: the moments that the weights' steps need.

A layer of G groups has G sets of inputs, each read by its own R = O / G output channels; K is the number of
weights of one output.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from quantflow.arithmetic import times_power_of_two
from quantflow.graph import Dense
from quantflow.threads import in_order

SAMPLES = 1 << 15  # windows that the moments are taken over, drawn evenly from all images
COLUMN_VALUES = 1 << 20  # of unfolded windows at a time
LARGE_COLUMN_VALUES = 1 << 23  # the same of layers with large matrices
SMALL_COLUMNS = 1024  # inputs of one output, up to which the matrices of its layer's steps are too small to share
MAX_COLUMNS = 4608  # inputs of one output (512 channels of 3x3), up to which second moments are taken


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """Means over windows of the calibration images.

    With x the fixed-point network's window, x_float the float network's at the same place, W the float
    weights [G, R, K], and d what the output lacks where it is computed from x: W (x_float - x), and the
    error of the residual map if there is one.

    `second` is drawn towards its diagonal: the variance of each x is added K / (K + windows) times. With few
    windows for many weights (fully connected layers) the calibration images would otherwise leave directions
    in which an error seems to cost nothing.
    """

    mean: np.ndarray = field(repr=False)  # E[x], float64 [G, K]
    second: np.ndarray = field(repr=False)  # E[x x'], float64 [G, K, K]
    cross: np.ndarray = field(repr=False)  # E[d x'], float64 [G, R, K]
    cross_mean: np.ndarray = field(repr=False)  # E[d], float64 [G, R]

    def about_mean(self):
        """The same moments of inputs that have their mean taken off: what counts once the bias is free."""
        second = self.second - self.mean[:, :, None] * self.mean[:, None, :]
        cross = self.cross - self.cross_mean[:, :, None] * self.mean[:, None, :]
        return replace(self, second=second, cross=cross, cross_mean=np.zeros_like(self.cross_mean))


def columns(layer):
    """K: the number of weights of one output."""
    return layer.weight[0].size


def is_small(layer):
    """Whether BLAS gains nothing by sharing the matrices of the layer's steps among its threads."""
    return columns(layer) <= SMALL_COLUMNS


def grouped(layer, values):
    """Weights [O, ...] as [G, R, K], float64, or one number for each output channel [O] as [G, R]."""
    groups = getattr(layer, "groups", 1)
    if values.ndim == 1:
        return values.reshape(groups, -1)
    return values.reshape(groups, len(values) // groups, -1).astype(np.float64)


def input_moments(layer, sources, formats):
    """The Moments of one Convolution or Dense.

    `sources` are the maps of its inputs on the calibration set, each with `exact` (float) and `fixed`
    (integers of the Format in `formats`), [N, C, H, W].
    """
    weight = grouped(layer, layer.weight).astype(np.float32)
    groups, rows, width = weight.shape
    order, centre = _taps_first(layer), _centre(layer, sources[0].fixed)
    weight, middle = weight[..., order].swapaxes(1, 2), centre[:, None, order].astype(np.float32)

    def batch_sums(batch):
        return _sums(layer, sources, formats, weight, middle, *batch)

    shapes = (groups, width), (groups, width, width), (groups, rows, width), (groups, rows)
    totals, count = [np.zeros(shape) for shape in shapes], 0
    # Large matrices BLAS shares among its threads itself.
    on_threads = in_order if is_small(layer) else map
    for windows, *sums in on_threads(batch_sums, _samples(layer, len(sources[0].exact))):
        count += windows
        for total, part in zip(totals, sums, strict=True):
            total += part
    mean, second, cross, cross_mean = (total / count for total in totals)
    back = np.argsort(order)
    mean, cross, second = mean[:, back], cross[..., back], second[:, back[:, None], back]
    fl = formats[0].fl
    cross += cross_mean[:, :, None] * centre[:, None]
    second += mean[:, :, None] * centre[:, None] + centre[:, :, None] * (mean + centre)[:, None]
    mean, cross_mean = (np.ldexp(values, -fl) for values in (mean + centre, cross_mean))
    second, cross = (np.ldexp(values, -2 * fl) for values in (second, cross))
    diagonal = np.arange(width)
    variance = np.maximum(second[:, diagonal, diagonal] - mean**2, 0)
    second[:, diagonal, diagonal] += variance * (width / (width + count))
    return Moments(mean=mean, second=second, cross=cross, cross_mean=cross_mean)


def _sums(layer, sources, formats, weight, centre, images, places):
    """(windows, sums of x, x x', d x' and d) over the pixels `places` of some images, x's taps as in `_rows`.

    All in units of the input's least significant bit, and x about its `centre`: products then stay far from float32's
    limits, and what varies is not lost beside a large mean.
    """
    groups, _, rows = weight.shape
    fl = formats[0].fl
    lacking = [
        times_power_of_two(source.exact[images], fl)
        - times_power_of_two(source.fixed[images].astype(np.float32), fl - format.fl)
        for source, format in zip(sources, formats, strict=True)
    ]
    missing = _rows(layer, lacking[0], places) @ weight
    for residual in lacking[1:]:
        missing += gathered(residual, places).reshape(groups, rows, -1).swapaxes(1, 2)
    x = np.subtract(_rows(layer, sources[0].fixed[images], places), centre, dtype=np.float32)
    # Two dimensions: BLAS knows that the product of a matrix with itself is symmetric, and halves the work.
    second = np.stack([each.T @ each for each in x])
    mean, cross_mean = (values.sum(axis=1, dtype=np.float64) for values in (x, missing))
    return x.shape[1], mean, second, missing.swapaxes(1, 2) @ x, cross_mean


def _samples(layer, count):
    """Batches of images (slices of n) with the pixels [n, P] taken from each, every image as many of its own."""
    pixels = layer.output_shape[1] * layer.output_shape[2]
    taken = min(pixels, max(1, -(-SAMPLES // count)))
    random = np.random.default_rng(0)
    values = COLUMN_VALUES if is_small(layer) else LARGE_COLUMN_VALUES
    step = max(1, values // (columns(layer) * getattr(layer, "groups", 1) * taken))
    for start in range(0, count, step):
        images = slice(start, min(start + step, count))
        places = random.random((images.stop - start, pixels)).argpartition(taken - 1, axis=1)[:, :taken]
        yield images, places


def unfold(layer, x, places):
    """The windows of the maps [n, C, H, W] at the output pixels `places` [n, P]: [G, K, n * P]."""
    return np.ascontiguousarray(_rows(layer, x, places)[..., np.argsort(_taps_first(layer))].swapaxes(1, 2))


def _taps_first(layer):
    """Which of the K weights of an output comes where in `_rows`: int [K]."""
    channels = layer.weight.shape[1]
    return np.arange(columns(layer)).reshape(channels, -1).T.ravel()


def _rows(layer, x, places):
    """The windows as rows, [G, n * P, K], a tap's channels side by side: they are so in memory when they are read."""
    if isinstance(layer, Dense):
        return x.reshape(1, len(x), -1)
    window, (top, left, bottom, right) = layer.window, layer.window.padding
    count, channels, height, width = x.shape
    maps = np.zeros((count, height + top + bottom, width + left + right, channels), dtype=x.dtype)
    maps[:, top : top + height, left : left + width] = x.transpose(0, 2, 3, 1)
    image, line = maps.shape[1] * maps.shape[2], maps.shape[2]
    down, across = np.divmod(places, layer.output_shape[2])
    corner = np.arange(count)[:, None] * image + down * window.stride[0] * line + across * window.stride[1]
    steps = [np.arange(window.kernel[axis]) * window.dilation[axis] for axis in (0, 1)]
    taps = np.add.outer(steps[0] * line, steps[1]).ravel()
    taken = maps.reshape(-1, channels)[corner.reshape(-1, 1) + taps]  # [n P, kh kw, C]
    taken = taken.reshape(corner.size, len(taps), layer.groups, -1).transpose(2, 0, 1, 3)
    return taken.reshape(layer.groups, corner.size, -1)


def _centre(layer, fixed):
    """About where each input of an output lies, an integer: float64 [G, K]."""
    if isinstance(layer, Dense):
        return np.rint(fixed.mean(axis=0, dtype=np.float64)).reshape(1, -1)
    channels = np.rint(fixed.mean(axis=(0, 2, 3), dtype=np.float64))
    return np.repeat(channels, layer.weight[0, 0].size).reshape(layer.groups, -1)


def gathered(x, places):
    """The maps [n, O, H, W] at the pixels `places` [n, P]: [O, n * P]."""
    flat = np.take_along_axis(x.reshape(*x.shape[:2], -1), places[:, None, :], axis=2)
    return flat.transpose(1, 0, 2).reshape(x.shape[1], -1)
