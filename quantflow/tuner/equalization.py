"""Step equalization: channels scaled by powers of two, so that a layer's one weight format suits all of them.

A channel multiplied by 2**e where it is made, and divided again where it is read, leaves the float network the
same function, exactly. The exponents are those of cross-layer equalization (Nagel et al., "Data-Free Quantization
Through Weight Equalization and Bias Correction", ICCV 2019, section 4.1), rounded, on any graph: with r_made the
greatest weight that makes a channel and r_read the greatest that reads it, each relative to its layer's greatest,
e grows by log2(r_read / r_made) / 2 until all are in balance.

What weights gain, maps lose: their channels drift apart. That pays where a depthwise convolution has one
fractional length for filters of very different size, and few bits; so it is measured, not assumed.
"""

import numpy as np

from quantflow.float_engine import run
from quantflow.graph import Convolution
from quantflow.quantized import WEIGHTED
from quantflow.tuner.channels import channel_classes
from quantflow.tuner.joint import output_error
from quantflow.tuner.scaling import channel_peaks, read_channels, scale_channels

IMAGES = 50  # to tune on, and as many to measure on
ROUNDS = 30  # of balancing; what is left then is far below half a bit
REACH = 3  # exponents stay within -REACH to REACH
SILENT = 1e-6  # a channel below this share of its map's peak is left alone
LEAST = -20.0  # log2 of a weight, relative to its layer's greatest, below which it counts as none


def may_equalize(network, per_channel):
    """Whether the step is tried: on depthwise convolutions with one fl a layer, where no format is given."""
    convolutions = [layer for layer in network.layers if isinstance(layer, Convolution)]
    depthwise = any(layer.groups > 1 and layer.weight.shape[1] == 1 for layer in convolutions)
    return depthwise and not (per_channel or network.formats or network.weight_formats)


def better_equalized(network, calibration, tune):
    """The network as it is, or equalized: what, tuned on some of the images, errs less on others.

    `tune(network, images)` gives a QuantizedNetwork; the error is that of the network's output.
    """
    sample, others = calibration[: 2 * IMAGES : 2], calibration[1 : 2 * IMAGES : 2]
    others = others if len(others) else sample
    balanced = equalize(network, balancing_exponents(network, channel_peaks(network, sample)))
    y_float = run(network, others)
    return min((network, balanced), key=lambda each: output_error(tune(each, sample), others, y_float))


def equalize(network, exponents):
    """The same function with the channels of each map scaled by 2**e, `exponents` being int [C] by map name."""
    return scale_channels(network, {name: np.exp2(each) for name, each in exponents.items()})


def balancing_exponents(network, peaks):
    """Exponents int [C] of every map by name that balance the weights which make and read each channel.

    `peaks` are those of `channel_peaks` on some calibration images; a channel that is silent on them has no say.
    Channels that are added or passed on have one exponent together, and those of the network's input and output
    0: see `tuner/channels.py`.
    """
    classes, fixed = channel_classes(network)
    weighted = [layer for layer in network.layers if isinstance(layer, WEIGHTED)]
    greatest = {layer.name: _greatest(layer, peaks[layer.inputs[0]]) for layer in weighted}
    layers = [
        (classes[layer.inputs[0]], classes[layer.name], read_channels(layer), _logarithm(greatest[layer.name]))
        for layer in weighted
        if greatest[layer.name].any()
    ]
    exponents = np.zeros(len(fixed))
    for _ in range(ROUNDS):
        made, read = np.full(len(fixed), -np.inf), np.full(len(fixed), -np.inf)
        for sources, outputs, reads, weight in layers:
            weight = weight + exponents[outputs][:, None] - exponents[sources][reads]
            weight -= weight.max()
            np.maximum.at(made, outputs, weight.max(axis=1))
            np.maximum.at(read, sources[reads], weight)
        free = ~fixed & (np.minimum(made, read) > LEAST)
        exponents[free] += (read[free] - made[free]) / 2
    whole = np.clip(np.rint(exponents), -REACH, REACH).astype(int)
    return {name: whole[numbers] for name, numbers in classes.items()}


def _greatest(layer, peak):
    """The greatest weight between each output channel and each channel that it hears: float64 [O, C / groups]."""
    heard = peak > SILENT * peak.max()
    greatest = np.abs(layer.weight).reshape(*read_channels(layer).shape, -1).max(axis=2).astype(np.float64)
    return np.where(heard[read_channels(layer)], greatest, 0)


def _logarithm(greatest):
    """log2, of no weight at all a number well below LEAST."""
    return np.log2(np.maximum(greatest, 2.0 ** (2 * LEAST) * greatest.max()))
