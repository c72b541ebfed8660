"""Step bias-correction: the mean error that rounding makes at each output is taken off in the bias.

Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section 4.2,
with the means measured on the calibration images, before the activation. A layer is linear there, so its mean
output is its output for the mean input.
"""

from dataclasses import replace

import numpy as np

from quantflow.arithmetic import dequantize
from quantflow.float_engine import apply


def corrected_bias(layer, weight, weight_fl, sources, formats):
    """b + E[W x_float + r_float] - E[W_q x + r]: float64 [O], still to be rounded at the accumulator's fl.

    `weight` are the rounded integers, shaped like the layer's, at `weight_fl` [O]; x and a residual r are the
    fixed-point network's maps of `sources` in their `formats`, x_float and r_float the float network's.
    """
    linear = replace(layer, relu=False, maximum=None)
    rounded = np.ldexp(weight.astype(np.float64), -weight_fl.reshape(-1, *(1,) * (weight.ndim - 1)))
    exact = [source.exact.mean(axis=0, dtype=np.float64, keepdims=True) for source in sources]
    fixed = [
        dequantize(source.fixed.mean(axis=0, dtype=np.float64, keepdims=True), format)
        for source, format in zip(sources, formats, strict=True)
    ]
    error = apply(linear, *exact) - apply(replace(linear, weight=rounded), *fixed)
    return layer.bias + error.mean(axis=(0, 2, 3))
