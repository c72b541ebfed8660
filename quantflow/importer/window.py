"""The sliding window of a node: its kernel, strides, padding and dilation, all made explicit."""

from dataclasses import dataclass

import numpy as np

from quantflow.graph import Window
from quantflow.importer.nodes import Refusal, shown, with_batch, word
from quantflow.importer.site import check_size

MAX_STEP = 1 << 24  # pixels of a stride or from one tap to the next
MAX_DILATED_SIZE = 1 << 14  # of a map that a pooling with dilation makes, in either direction
AUTO_PADS = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


@dataclass(frozen=True, kw_only=True)
class DraftWindow:
    """A node's window before the map's size is known. `place` makes automatic padding explicit."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]  # top, left, bottom, right
    dilation: tuple[int, int]
    auto_pad: str
    ceil_mode: int = 0

    def place(self, shape):
        """The Window over maps of `shape` (C, H, W), and its output's (height, width)."""
        plain = Window(kernel=self.kernel, stride=self.stride, dilation=self.dilation)
        first, last = self.padding[:2], self.padding[2:]
        axes = zip(shape[1:], plain.extent, self.stride, first, last, strict=True)
        pads = [self._pads(*axis) for axis in axes]
        padding = (pads[0][0], pads[1][0], pads[0][1], pads[1][1])
        window = Window(kernel=self.kernel, stride=self.stride, dilation=self.dilation, padding=padding)
        top, left, bottom, right = padding
        check_size((shape[0], shape[1] + top + bottom, shape[2] + left + right), "reads a padded map")
        for name, steps in (("strides", self.stride), ("dilations", self.dilation)):
            if max(steps) > MAX_STEP:
                raise Refusal(f"has {name} {shown(steps)}; at most {MAX_STEP} is supported")
        sizes = window.output_size(*shape[1:])
        if min(sizes) < 1:
            raise Refusal(
                f"has a kernel of {shown(window.extent)}, larger than its padded input of shape {with_batch(shape)}"
            )
        return window, sizes

    def _pads(self, size, extent, stride, before, after):
        """Padding before and after along one axis."""
        if self.auto_pad.startswith("SAME"):
            total = max(0, ((size + stride - 1) // stride - 1) * stride + extent - size)
            less, more = total // 2, total - total // 2
            return (less, more) if self.auto_pad == "SAME_UPPER" else (more, less)
        if not self.ceil_mode or size + before + after < extent:
            return before, after
        steps = -((extent - size - before - after) // stride)
        if steps * stride >= size + before:  # a window must begin inside the map or its first padding
            steps -= 1
        return before, max(after, steps * stride + extent - size - before)


def draft_window(attributes, kernel, *, pools=False):
    """Read the window's attributes; `pools` tells that the node has a ceil_mode."""
    auto_pad = attributes.text("auto_pad", "NOTSET")
    if auto_pad not in AUTO_PADS:
        raise Refusal(f"has auto_pad {word(auto_pad)}; only {', '.join(AUTO_PADS)} are supported")
    padding = attributes.integers("pads", 4, (0, 0, 0, 0), 0)
    ceil_mode = attributes.integer("ceil_mode", 0) if pools else 0
    if ceil_mode not in (0, 1):
        raise Refusal(f"has ceil_mode {ceil_mode}; 0 or 1 is expected")
    if auto_pad != "NOTSET" and (any(padding) or ceil_mode):
        raise Refusal(f"has auto_pad {auto_pad} beside pads or ceil_mode, which contradict it")
    return DraftWindow(
        kernel=kernel,
        stride=attributes.integers("strides", 2, (1, 1), 1),
        padding=padding,
        dilation=attributes.integers("dilations", 2, (1, 1), 1),
        auto_pad=auto_pad,
        ceil_mode=ceil_mode,
    )


def check_taps(window, shape):
    """Refuse a pooling window that lies over padding alone at some position: it would pool nothing.

    Without dilation a padding smaller than the kernel excludes that.
    """
    if window.dilation == (1, 1):
        return
    for axis, size in enumerate(shape[1:]):
        count = window.output_size(*shape[1:])[axis]
        if count > MAX_DILATED_SIZE:
            raise Refusal(f"makes a map of {count} pixels on a side; at most {MAX_DILATED_SIZE} are supported")
        start = np.arange(count) * window.stride[axis] - window.padding[axis]
        step = window.dilation[axis]
        first = np.maximum(0, -(start // step))  # the first tap at or behind the map's first pixel
        if not ((first < window.kernel[axis]) & (start + first * step < size)).all():
            raise Refusal(
                f"has pads {shown(window.padding)} and a kernel of {shown(window.kernel)} that lies over padding "
                f"alone somewhere on {with_batch(shape)}"
            )
