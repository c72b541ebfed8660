"""Weight words, and which blocks of channels a run of output blocks reads."""

from dataclasses import dataclass

import numpy as np

from quantflow.compiler.stage import blocks


@dataclass(frozen=True, kw_only=True)
class Cover:
    """Output block n of a run reads the blocks first + n * step + 0 ... count - 1."""

    first: int
    count: int
    step: int


def cover(channels, total, lanes):
    """The Cover with the fewest blocks in which output channels find all that they read.

    `channels` [O, J] are the map's, -1 where nothing is read; its `total` blocks all exist and no others.
    """
    lows, highs = _reach(channels, lanes)
    used = np.flatnonzero(lows <= highs)
    if not len(used):
        return Cover(first=0, count=1, step=0)
    best = None
    for step in range(total if len(lows) > 1 else 1):
        first = int((lows[used] - used * step).min())
        count = int((highs[used] - used * step).max()) + 1 - first
        if first < 0 or first + (len(lows) - 1) * step + count > total:
            continue
        if best is None or count < best.count:
            best = Cover(first=first, count=count, step=step)
    return best


def _reach(channels, lanes):
    """Of each output block, the first and the last block that it reads; the first is beyond all if there is none."""
    runs = range(0, len(channels), lanes)
    read = np.where(channels >= 0, channels // lanes, -1)
    highs = np.array([read[n : n + lanes].max() for n in runs])
    none = np.iinfo(np.int64).max
    lows = np.where(channels >= 0, channels // lanes, none)
    return np.array([lows[n : n + lanes].min() for n in runs]), highs


def array_words(channels, digit, found, lanes):
    """One digit's weight words: [output block, kernel row, kernel column, input block, out, in].

    `channels` [O, J] are the map's channels that `digit` [O, J, kh, kw] multiplies, -1 for none.
    """
    outputs, _, *kernel = digit.shape
    words = np.zeros((blocks(outputs, lanes), *kernel, found.count, lanes, lanes), digit.dtype)
    output = np.arange(outputs)[:, None]
    block = channels // lanes - found.first - output // lanes * found.step
    read = channels >= 0
    if read.all():
        words[output // lanes, :, :, block, output % lanes, channels % lanes] = digit
    else:
        o, j = np.nonzero(read)
        words[o // lanes, :, :, block[o, j], o % lanes, channels[o, j] % lanes] = digit[o, j]
    return words
