"""What each step leaves of the noise at a layer's output, so that a person sees what it gave.

    noise = E[(y - W_q x - b - r)^2] / E[y^2],  y = W x_float + b + r_float

before the activation, over a sample of windows of the calibration images: x and a residual r are the fixed-point
network's, so the noise of earlier layers is in it. Once the bias is corrected, and that comes first since the
other steps count on it, each output's mean error is taken off.
"""

import math

import numpy as np

from quantflow.arithmetic import times_power_of_two
from quantflow.tuner.methods import BIAS_CORRECTION
from quantflow.tuner.moments import gathered, grouped, unfold

NEAREST = "nearest"  # before any step: each weight rounded by itself
WINDOWS = 1 << 11  # in the sample, about
VALUES = 1 << 22  # of the input's maps at a time


class StepNoise:
    """Measures the noise of one Convolution or Dense as its weights go from step to step.

    `sources` and `formats` are those of `input_moments`; `gains` is a dict that is filled: decibels by step, in
    the order that steps are taken, None where there is no noise or no signal.
    """

    def __init__(self, layer, sources, formats, gains):
        self.gains, self._layer, self._fl = gains, layer, formats[0].fl
        weight = grouped(layer, layer.weight).astype(np.float32)
        x, wanted, signal, count = [], [], 0.0, 0
        for images, places in _samples(layer, len(sources[0].exact)):
            x.append(unfold(layer, sources[0].fixed[images].astype(np.float32), places))
            y = weight @ unfold(layer, times_power_of_two(sources[0].exact[images], self._fl), places)
            missing = 0
            for source, format in zip(sources[1:], formats[1:], strict=True):
                exact = gathered(times_power_of_two(source.exact[images], self._fl), places).reshape(y.shape)
                fixed = gathered(source.fixed[images].astype(np.float32), places).reshape(y.shape)
                y += exact
                missing = times_power_of_two(fixed, self._fl - format.fl)
            wanted.append(y - missing)
            y += np.ldexp(grouped(layer, layer.bias), self._fl)[..., None].astype(np.float32)
            signal += np.square(y, dtype=np.float64).sum()
            count += y.size
        self._x, self._wanted = np.concatenate(x, axis=2), np.concatenate(wanted, axis=2)
        self._signal = signal / count

    def __call__(self, step, integers, weight_fl):
        """The step is taken: the weights are now `integers`, shaped like the layer's or grouped, at `weight_fl`."""
        weight = np.ldexp(
            grouped(self._layer, integers.reshape(len(self._layer.weight), -1)),
            -np.reshape(weight_fl, (*self._wanted.shape[:2], 1)),
        )
        error = (self._wanted - weight.astype(np.float32) @ self._x).astype(np.float64)
        if step == BIAS_CORRECTION or BIAS_CORRECTION in self.gains:
            error -= error.mean(axis=2, keepdims=True)
        noise = np.square(error).mean()
        self.gains[step] = 10 * math.log10(noise / self._signal) if noise > 0 and self._signal > 0 else None


def _samples(layer, count):
    """Batches of image numbers [n] with the pixels [n, P] taken from each: windows spread over all images."""
    pixels = layer.output_shape[1] * layer.output_shape[2]
    images = np.unique(np.linspace(0, count - 1, min(count, WINDOWS)).astype(int))
    taken = min(pixels, -(-WINDOWS // len(images)))
    random = np.random.default_rng(0)
    step = max(1, VALUES // math.prod(layer.input_shape))
    for start in range(0, len(images), step):
        batch = images[start : start + step]
        yield batch, random.integers(0, pixels, (len(batch), taken))
