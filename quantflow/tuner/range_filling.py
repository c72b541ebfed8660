"""Step range-filling: channels scaled by real factors, so that they fill the ranges of their maps' formats.

A signed format of fl fractional bits ends at t = (2**(bits - 1) - 1) * 2**-fl; of what a map or channel reaches, p, the
formats know the next such t only, and up to a bit is lost. A channel times s = t / p, and divided by s where it is
read, is the same to the float network, and uses that bit. It is cross-layer equalization (Nagel et al., ICCV 2019,
section 4.1) for the sake of maps rather than weights, and with factors in [1, LIMIT] it moves weights by a bit.

Where a layer bounds its map (ReLU6), p is the bound, for all of its channels: many values lie at the bound, and
none of them is rounded any more.
"""

import numpy as np

from quantflow.arithmetic import Format, largest_fl
from quantflow.quantized import WEIGHTED, formatted_maps
from quantflow.tuner.channels import channel_classes
from quantflow.tuner.layers import rectifies
from quantflow.tuner.scaling import channel_peaks, scale_channels

IMAGES = 50  # that peaks are taken from: those of many images are outliers, for whose sake all others are coarser
LIMIT = 2.0  # for a channel of less than half of its map's range, more moved weights for no gain
SILENT = 1e-6  # a channel below this share of its map's peak has no say


def fill_ranges(network, calibration, choices):
    """The network of the same function, to float32's rounding, with its channels scaled.

    `choices` are the tuner's, a `layers.Choice` by name of each layer and of the input.
    """
    sample = calibration[:: max(1, len(calibration) // IMAGES)][:IMAGES]
    peaks = channel_peaks(network, sample)
    return scale_channels(network, filling_factors(network, peaks, choices))


def filling_factors(network, peaks, choices):
    """Factors float64 [C] of every map by name, from the `peaks` of `channel_peaks`.

    Channels that are added or passed on have one factor together, the least that one of their maps allows, and a
    bounded map's before others'. Without a bound they are scaled only where all weights that make or read them
    have as many bits as their maps: with fewer, it is the weights that make the noise.
    """
    classes, fixed = channel_classes(network)
    by_peak, by_bound = np.full((2, len(fixed)), np.inf)
    for name in formatted_maps(network):
        top, bound = _top(network, name, peaks[name].max(), choices[name]), _bound(network, name)
        if not 0 < top < np.inf:
            continue
        if bound is not None:
            reached = bound if bound <= top else float(peaks[name].max())
            np.minimum.at(by_bound, classes[name], top / reached)
        heard = peaks[name] > SILENT * peaks[name].max()
        np.minimum.at(by_peak, classes[name][heard], top / peaks[name][heard].astype(np.float64))
    by_peak[_narrow(network, classes, choices)] = 1
    factors = np.where(np.isfinite(by_bound), by_bound, by_peak)
    factors = np.clip(np.where(fixed | ~np.isfinite(factors), 1, factors), 1, LIMIT)
    return {name: factors[numbers] for name, numbers in classes.items()}


def _top(network, name, peak, choice):
    """The greatest value of the map's finest format that holds `peak`; 0 or infinite where there is no such."""
    if not 0 < peak < np.inf:
        return float(peak)
    signed = not (choice.unsigned and name != network.input_name and rectifies(network[name]))
    bits = choice.activation_bits
    format = Format(bits=bits, fl=largest_fl(0, peak, bits, signed), signed=signed)
    return format.max * format.scale


def _bound(network, name):
    """The greatest of the upper bounds that the map's layer gives it, None without any."""
    maximum = None if name == network.input_name else getattr(network[name], "maximum", None)
    return None if maximum is None or np.max(maximum) <= 0 else float(np.max(maximum))


def _narrow(network, classes, choices):
    """Of which classes some map has more bits than the weights of a layer that makes or reads it: bool [classes]."""
    count = 1 + max(int(numbers.max()) for numbers in classes.values())
    maps, weights = np.zeros(count), np.full(count, np.inf)
    for name in formatted_maps(network):
        np.maximum.at(maps, classes[name], choices[name].activation_bits)
    for layer in network.layers:
        if isinstance(layer, WEIGHTED):
            for name in (layer.inputs[0], layer.name):
                np.minimum.at(weights, classes[name], choices[layer.name].weight_bits)
    return weights < maps
