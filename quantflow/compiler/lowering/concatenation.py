"""Concatenation: what its producers have not written straight into its map is copied there."""

import numpy as np

from quantflow.accumulation import MAX_LEFT_SHIFT
from quantflow.compiler.lowering.homes import parts
from quantflow.compiler.lowering.linear import append_linear
from quantflow.compiler.lowering.lowering import selection
from quantflow.compiler.stage import View, blocks
from quantflow.errors import UserError


def lower_concat(lowering, layer):
    """Copies into runs of whole blocks: from one part each, or from several parts that share a block."""
    config, network = lowering.config, lowering.network
    copied = [
        (name, first, stop)
        for name, first, stop in parts(layer, lowering.layers, network)
        if not lowering.is_direct(name, layer.name, first // config.lanes)
    ]
    destination = lowering.written(layer.name)
    for first, stop, sharing in _runs(copied, config.lanes):
        stop = min(stop, layer.output_shape[0])
        _Run(lowering, layer, first, stop).copy(sharing, destination)


def _runs(copied, lanes):
    """(first channel, channel behind the last, parts) of neighbouring blocks that are made of the same parts."""
    found = []
    last = max((stop for _, _, stop in copied), default=0)
    for block in range(blocks(last, lanes)):
        first, stop = block * lanes, (block + 1) * lanes
        sharing = [part for part in copied if part[1] < stop and part[2] > first]
        if found and sharing == found[-1][2] and len(sharing) == 1 and found[-1][1] == first:
            found[-1] = (found[-1][0], stop, sharing)
        elif sharing:
            found.append((first, stop, sharing))
    return found


class _Run:
    """Some channels of a Concat's output, whole blocks of them."""

    def __init__(self, lowering, layer, first, stop):
        self.lowering, self.layer, self.first, self.stop = lowering, layer, first, stop
        self.format = lowering.quantized.output_format(layer.name)
        self.filled = np.zeros(stop - first, bool)

    def copy(self, sharing, destination):
        """Each part but the first finds those before it in a map of their own, or in the first part's."""
        count, before = self.stop - self.first, None
        if len(sharing) > 1 and not self.lowering.config.residuals:
            raise UserError(
                f"the machine has no residuals: layer {self.layer.name} joins maps within a block of "
                f"{self.lowering.config.lanes} channels, which would add another map to its sums"
            )
        last = View(map=destination.map, first_block=destination.first_block + self.first // self.lowering.config.lanes)
        remaining = list(sharing)
        if len(remaining) > 1:
            before = self._part(remaining.pop(0))
        while remaining:
            terms, shift, taken = self._part(remaining.pop(0))
            residual = None
            if before is not None:
                residual, residual_shift, _ = before
                shift = np.where(taken, shift, residual_shift)
            self.filled |= taken
            target, name = last, None
            if remaining:
                name = f"{self.layer.name}:{self.first}.{len(remaining)}"
                self.lowering.add_map(name, (count, *self.layer.output_shape[1:]), self.format)
                target = View(map=name)
            append_linear(
                self.lowering,
                layers=(self.layer.name,),
                terms=terms,
                residual=residual,
                output_shape=(count, *self.layer.output_shape[1:]),
                destination=target,
                bias=0,
                shift=shift,
                least=self.format.min,
                greatest=self.format.max,
            )
            if name:
                gathered = self.lowering.gather(name)
                kept = np.where(self.filled, np.arange(count), -1)
                before = selection(gathered, kept), np.zeros(count, np.int64), self.filled

    def _part(self, part):
        """Terms that bring a part's channels to their places, the shifts, and which places those are."""
        name, first, stop = part
        channels = np.arange(self.first, self.stop)
        taken = (channels >= first) & (channels < stop)
        shift = self.lowering.quantized.output_format(name).fl - self.format.fl
        raised = max(0, -MAX_LEFT_SHIFT - shift)
        terms = selection(self.lowering.unpadded(name), np.where(taken, channels - first, -1), raised)
        self.filled |= taken
        return terms, np.full(len(channels), shift + raised), taken
