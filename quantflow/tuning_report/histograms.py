"""Where the numbers lie within the ranges that were chosen for them."""

import math

import numpy as np

from quantflow.arithmetic import Format
from quantflow.choices import choices
from quantflow.float_engine import activations
from quantflow.integer_engine import batches, working_bytes

BINS = 60
IMAGES = 64  # of the calibration set, for the maps


def histograms(quantized, images, *, progress=None):
    """Histograms of the float weights and maps, for the input and each layer that chooses a format.

    `images` are float [N, C, H, W], of which the first 64 are used. A list of dicts: `name`, `kind`, `weights` (None
    where there are none) and `activations`, each with `counts` of equal bins from `low` to `high`, and
    `ranges`, the chosen formats' lowest value, highest value and LSB: one, or the finest and the coarsest
    where output channels differ. `progress`, if given, is called as `progress(images done, images to do,
    "histograms")`; maps are computed twice, for their range and for their counts.
    """
    network, images = quantized.network, images[:IMAGES]
    entries = choices(quantized)
    parts = batches(len(images), _image_bytes(network))
    limits = {entry.name: _value_range(entry.output)[:2] for entry in entries}
    counts = {entry.name: np.zeros(BINS, np.int64) for entry in entries}
    for turn in range(2):
        for part in parts:
            maps = activations(network, images[part])
            for name in counts:
                if turn == 0:
                    limits[name] = _widened(limits[name], maps[name])
                else:
                    counts[name] += np.histogram(maps[name], BINS, limits[name])[0]
            if progress is not None:
                progress(turn * len(images) + part.stop, 2 * len(images), "histograms")
    return [
        {
            "name": entry.name,
            "kind": entry.kind,
            "weights": _weights(network[entry.name].weight, entry.weights) if entry.weights else None,
            "activations": _histogram(counts[entry.name], limits[entry.name], [_value_range(entry.output)]),
        }
        for entry in entries
    ]


def _weights(weight, chosen):
    lengths = sorted({min(chosen.fl), max(chosen.fl)}, reverse=True)
    ranges = [_value_range(Format(bits=chosen.bits, fl=fl)) for fl in lengths]
    limits = _widened(ranges[-1][:2], weight)
    return _histogram(np.histogram(weight, BINS, limits)[0], limits, ranges)


def _histogram(counts, limits, ranges):
    return {"low": limits[0], "high": limits[1], "counts": counts.tolist(), "ranges": ranges}


def _value_range(format):
    return [math.ldexp(format.min, -format.fl), math.ldexp(format.max, -format.fl), format.scale]


def _widened(limits, values):
    return [min(limits[0], float(values.min())), max(limits[1], float(values.max()))]


def _image_bytes(network):
    return 4 * sum(math.prod(layer.output_shape) for layer in network.layers) + max(map(working_bytes, network.layers))
