"""What a reader sees of a map through slices and paddings."""

from dataclasses import dataclass, replace

import numpy as np

from quantflow.graph import Window


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Rows or columns: number i in [first, stop) is the map's i * step + offset; the others of `size` are zeros."""

    size: int
    first: int
    stop: int
    step: int = 1
    offset: int = 0

    @classmethod
    def whole(cls, size):
        return cls(size=size, first=0, stop=size)

    @property
    def padded(self):
        return self.first > 0 or self.stop < self.size

    @property
    def plain(self):
        """A run of neighbours, nothing else."""
        return self.step == 1 and not self.padded

    @property
    def start(self):
        """The first that is read, as the map counts."""
        return self.first * self.step + self.offset

    @property
    def span(self):
        """From the first one read to the last, both counted."""
        return (self.stop - self.first - 1) * self.step + 1

    def cut(self, start, step, size):
        """What a Slice takes of it."""
        first = max(0, -(-(self.first - start) // step))
        stop = max(first, min(size, (self.stop - 1 - start) // step + 1))
        return Axis(size=size, first=first, stop=stop, step=self.step * step, offset=self.offset + start * self.step)

    def pad(self, before, after):
        """It with zeros before and after."""
        return Axis(
            size=before + self.size + after,
            first=before + self.first,
            stop=before + self.stop,
            step=self.step,
            offset=self.offset - before * self.step,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Gather:
    """A map seen through slices and paddings: `channels[c]` is a channel of `map`, or -1 for zeros."""

    map: str
    channels: np.ndarray  # int [C]
    rows: Axis
    columns: Axis

    @classmethod
    def whole(cls, name, shape):
        return cls(map=name, channels=np.arange(shape[0]), rows=Axis.whole(shape[1]), columns=Axis.whole(shape[2]))

    @property
    def shape(self):
        return len(self.channels), self.rows.size, self.columns.size

    @property
    def empty(self):
        """Whether no pixel of the map is read."""
        return self.rows.stop == self.rows.first or self.columns.stop == self.columns.first

    def cut(self, layer):
        """Through a Slice."""
        taken = layer.start[0] + layer.step[0] * np.arange(layer.output_shape[0])
        rows, columns = (
            axis.cut(layer.start[n], layer.step[n], layer.output_shape[n])
            for n, axis in ((1, self.rows), (2, self.columns))
        )
        return replace(self, channels=self.channels[taken], rows=rows, columns=columns)

    def pad(self, layer):
        """Through a Pad with zeros."""
        channels = np.pad(self.channels, (layer.before[0], layer.after[0]), constant_values=-1)
        rows, columns = (axis.pad(layer.before[n], layer.after[n]) for n, axis in ((1, self.rows), (2, self.columns)))
        return replace(self, channels=channels, rows=rows, columns=columns)

    def first_block(self, lanes):
        """The block at which its channels begin, if they are neighbours from there on; None if not."""
        first = self.channels[0]
        ahead = first >= 0 and first % lanes == 0 and np.array_equal(self.channels, first + np.arange(self.shape[0]))
        return int(first) // lanes if ahead else None


def placed(window, rows, columns, output_shape, first=(0, 0)):
    """A window over a gather's axes, as one over the part of the map that is read.

    Returns the part's first row and column, its rows and columns, and the Window, of which results from
    `first` on are wanted, as many as `output_shape` [C, H, W] has.
    """
    axes = [_placed_axis(axis, window, n, first[n], output_shape[1 + n]) for n, axis in enumerate((rows, columns))]
    starts, sizes, before, after, strides, dilations = zip(*axes, strict=True)
    moved = Window(kernel=window.kernel, stride=strides, padding=(*before, *after), dilation=dilations)
    return starts, sizes, moved


def _placed_axis(axis, window, n, first, count):
    stride, dilation = window.stride[n] * axis.step, window.dilation[n] * axis.step
    begin = (first * window.stride[n] - window.padding[n] - axis.first) * axis.step  # the first tap, as the part counts
    extent = (count - 1) * stride + (window.kernel[n] - 1) * dilation + 1
    start, size, before = axis.start, axis.span, max(0, -begin)
    if first:
        start, size = start + max(0, begin), size - max(0, begin)
        size = min(size, extent - before)
    return start, size, before, max(0, extent - before - size), stride, dilation
