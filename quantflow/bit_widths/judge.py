"""What a tuned network is worth, by its outputs on images that it was not tuned on."""

import numpy as np

from quantflow import float_engine
from quantflow.arithmetic import dequantize
from quantflow.classification import answers
from quantflow.integer_engine import run

MIXED_VALUES = 1 << 27  # outputs with the errors of other images that are looked at, at most


class Judge:
    """The float network's outputs on the held-out images, and what they were to be."""

    def __init__(self, network, held_out):
        self._images, self._labels = held_out.images, held_out.labels
        self._exact = float_engine.run(network, held_out.images).reshape(len(held_out), -1).astype(np.float64)
        self._answers = answers(self._exact)
        self._power = float(np.square(self._exact).sum()) or 1.0

    def figures(self, quantized):
        """The agreement with float (a share), the drop (points), and the output's noise over its power.

        The drop is of top-1 accuracy where there are labels, else of agreement. With few images a choice may
        be lucky in its answers, and a search finds the luckiest; so the drop is that of the images' own answers or,
        if greater, the mean where each float output meets the error of each image.
        """
        last = quantized.network.layers[-1].name
        fixed = dequantize(run(quantized, self._images, keep=False)[last], quantized.output_format(last))
        error = fixed.reshape(self._exact.shape) - self._exact
        rolls = max(1, min(len(error), MIXED_VALUES // error.size))
        mixed = np.mean([self._kept(np.roll(error, roll, axis=0)) for roll in range(rolls)])
        return {
            "agreement": float(np.mean(answers(self._exact + error) == self._answers)),
            "drop": 100 * float(self._kept(0) - min(self._kept(error), mixed)),
            "output_noise": float(np.square(error).sum()) / self._power,
        }

    def _kept(self, error):
        """Share of the images whose answer, with this error [N, classes], is the label or the float network's."""
        wanted = self._answers if self._labels is None else self._labels
        return np.mean(answers(self._exact + error) == wanted)
