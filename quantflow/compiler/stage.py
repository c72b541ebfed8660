"""A stage: what one pass of the machine over a feature map computes, before it has addresses."""

from dataclasses import dataclass, field

import numpy as np

from quantflow.graph import Window
from quantflow.isa import Operation


@dataclass(frozen=True, kw_only=True, eq=False)
class Stage:
    """One convolution with its fused pooling, or one max pooling.

    A fused pooling window has equal kernel and stride, so no result is computed twice. Shapes
    are [C, H, W] of one image; `output_shape` is behind the pooling.
    """

    layers: tuple[str, ...]  # the network's layers that it computes, in order
    operation: Operation
    input_shape: tuple[int, int, int]
    output_shape: tuple[int, int, int]
    window: Window  # of the convolution, or of the pooling where that is the operation
    pool: tuple[int, int] = (1, 1)  # rows and columns of the fused pooling window
    relu: bool = False
    output_bits: int
    macs: int = 0
    weight: np.ndarray | None = field(default=None, repr=False)  # int32 [O, C, kernel rows, kernel columns]
    weight_bits: int = 0
    bias: np.ndarray | None = field(default=None, repr=False)  # int64 [O]
    shift: np.ndarray | None = field(default=None, repr=False)  # int32 [O]

    @property
    def name(self):
        return "+".join(self.layers)

    @property
    def phases(self):
        """S, the column phases of its input's layout: columns between neighbouring results."""
        return self.window.stride[1] * self.pool[1]

    def input_blocks(self, lanes):
        """Input-channel blocks accumulated for one result."""
        return 1 if self.operation == Operation.MAXIMUM else blocks(self.input_shape[0], lanes)

    def output_blocks(self, lanes):
        return blocks(self.output_shape[0], lanes)

    def steps(self, lanes):
        """Array steps for one group of results, of one output-channel block."""
        return self.window.kernel[0] * self.window.kernel[1] * self.input_blocks(lanes)

    def groups(self, config):
        """Groups of P results that the array finishes for one output row."""
        return -(-self.output_shape[2] // config.pixels)

    def cycles(self, config):
        """Cycles that the array works on it: groups times their steps, or their drain."""
        rounds = self.output_blocks(config.lanes) * self.output_shape[1] * self.groups(config)
        return rounds * self.pool[0] * self.pool[1] * max(self.steps(config.lanes), config.drain_cycles)


def blocks(channels, lanes):
    """Words of `lanes` channels that hold `channels` channels."""
    return -(-channels // lanes)
