"""Step bias-correction: the mean error that rounding makes at each output is taken off in the bias."""

import numpy as np


def corrected_bias(weight, rounded, weight_fl, bias, moments):
    """bias + E[W x_float] - E[W_q x]: float64 [O], still to be rounded at the accumulator's fl.

    `weight` are the float weights [O, K], `rounded` the integers [O, K] at `weight_fl` [O]. (Nagel et al.,
    "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section 4.2, with
    the means measured on the calibration images before ReLU.)
    """
    fixed = np.ldexp(rounded, -weight_fl[:, None])
    return bias.astype(np.float64) + weight @ moments.mean_float - fixed @ moments.mean
