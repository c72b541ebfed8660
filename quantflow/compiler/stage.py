"""A stage: what one pass of the machine over a feature map computes, before anything has an address.

Lowering makes a list of stages out of a tuned network; placement and schedule make instructions out of it.
A stage reads and writes parts of named maps, so that concatenation, slices and groups need no copies.
"""

from dataclasses import dataclass, field

import numpy as np

from quantflow.arithmetic import Format
from quantflow.graph import Window
from quantflow.isa import Operation


@dataclass(frozen=True, kw_only=True)
class FeatureMap:
    """A map that stages exchange: whole blocks of `lanes` channels, the last one filled up."""

    name: str  # of the layer whose output it is, or of the network's input
    shape: tuple[int, int, int]  # [C, H, W] as it lies in the machine
    format: Format


@dataclass(frozen=True, kw_only=True)
class View:
    """Where in a map a stage reads or writes: the whole of it, or a part beginning at a block, row and column.

    What is written may go to every `column_step`-th column.
    """

    map: str
    first_block: int = 0
    first_row: int = 0
    first_column: int = 0
    column_step: int = 1  # of a destination


@dataclass(frozen=True, kw_only=True)
class Residual:
    """A second map that enters the sums of each result through weights of its own, taps of one pixel.

    Result [ob, y, x] reads the view's pixel (y * stride[0], x * stride[1]), blocks
    ob * block_step + 0 ... blocks - 1. Its passes come before the stage's own. Where it is `aligned`, its last
    digit counts as much as the first digit of the stage's weights; else it is the next higher digit, and the
    accumulators shift in between.
    """

    view: View
    blocks: int  # input-channel blocks accumulated for one result
    block_step: int  # blocks that it moves on from an output block to the next
    passes: int  # digits of its weights
    stride: tuple[int, int] = (1, 1)
    aligned: bool = False  # no shift between its last pass and the stage's first one


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """Convolution or maximum over a window, with pooling fused behind it.

    The result of output block ob at row y and column x accumulates, over the window's taps, the blocks
    `ob * block_step + 0 ... input_blocks - 1` of `source`: a dense convolution has a `block_step` of 0, a
    depthwise one, an average or a maximum has 1 and one input block. `input_shape` is that of the part of
    the map that is read, of which the window's padding is counted; `output_shape` is what is written,
    behind the pooling. A fused pooling window has equal kernel and stride.

    `words` holds the array's weights, integers [output block, step, out, in]: each block's residual passes
    first, [pass][block], then its passes, [pass][kernel row][kernel column][input block]; where `uniform`,
    [1, pass, out, in], one word for all steps of a pass and for all blocks. Words of several passes are the
    digits of a weight in base 2**pass_shift, highest first. Parameters have a number for each channel
    of each output block, those that do not exist included: `bias` int64, `shift` int32, `greatest` int64.
    """

    layers: tuple[str, ...]  # the network's layers that it computes, in order
    operation: Operation
    source: View
    destination: View
    input_shape: tuple[int, int, int]
    output_shape: tuple[int, int, int]
    window: Window
    input_blocks: int
    output_blocks: int
    block_step: int = 0
    passes: int = 1
    uniform: bool = False
    pool: tuple[int, int] = (1, 1)  # rows and columns of the fused pooling window
    residual: Residual | None = None
    words: np.ndarray | None = field(default=None, repr=False)
    weight_bits: int = 0  # of the widest weight in `words`, as it lies in memory
    bias: np.ndarray | None = field(default=None, repr=False)
    shift: np.ndarray | None = field(default=None, repr=False)
    greatest: np.ndarray | None = field(default=None, repr=False)
    least: int = 0  # results are at least this
    dropped_bits: int = 0  # lowest bits of the sums that are cleared before the shift
    macs: int = 0  # of the network's layers, for all images that it computes
    image: int | None = None  # the one of a batch that it is for, where it is for one only

    @property
    def name(self):
        layers = "+".join(self.layers)
        return layers if self.image is None else f"{layers} of image {self.image}"

    @property
    def column_step(self):
        """Source columns between neighbouring results."""
        return self.window.stride[1] * self.pool[1]

    @property
    def kernel_steps(self):
        """Array steps for one group of results, of one pass and one output block."""
        return self.window.kernel[0] * self.window.kernel[1] * self.input_blocks

    @property
    def residual_steps(self):
        return self.residual.passes * self.residual.blocks if self.residual else 0

    @property
    def steps(self):
        """Array steps for one group of results of one output block."""
        return self.residual_steps + self.passes * self.kernel_steps

    @property
    def weight_words(self):
        """Weight words of one output block (of all of them where `uniform`)."""
        if self.operation == Operation.MAXIMUM:
            return 0
        return self.passes if self.uniform else self.steps

    def groups(self, config):
        """Groups of P results that the array finishes for one output row."""
        return -(-self.output_shape[2] // config.pixels)

    def cycles(self, config):
        """Cycles that the array works on it: groups times their steps, or their drain."""
        rounds = self.output_blocks * self.output_shape[1] * self.groups(config)
        return rounds * self.pool[0] * self.pool[1] * max(self.steps, config.drain_cycles)


def blocks(channels, lanes):
    """Words of `lanes` channels that hold `channels` channels."""
    return -(-channels // lanes)
