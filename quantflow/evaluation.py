"""The figures of a tuned network beside its float network, as `evaluate` measures them."""

import math
from dataclasses import dataclass, field

import numpy as np

from quantflow.choices import LayerChoices
from quantflow.representation import Represented
from quantflow.tables import CHOICES, NOISE, accuracy, choice_cells, noise_cells


def sqnr_db(signal, noise):
    """10 log10(signal / noise) in decibels: infinite without noise, minus infinity without signal."""
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


def finite(value):
    """The number, or None where JSON has no number for it."""
    return value if math.isfinite(value) else None


@dataclass(frozen=True, kw_only=True)
class LayerEvaluation(LayerChoices):
    """One layer's choices, and how far its fixed-point output is from the float output.

    Saturated is a value that is the format's greatest integer, or its least where that is below 0: the 0 that
    a ReLU makes is none.
    """

    signal: float  # sum x^2 of the float output over all images
    noise: float  # sum (x - x_fixed)^2
    saturated: float  # share of the output's values
    zeros: float  # share of the output's values that are 0

    @property
    def sqnr_db(self):
        """Signal-to-quantization-noise ratio: infinite without noise, minus infinity without signal."""
        return sqnr_db(self.signal, self.noise)

    def to_json(self):
        """A dict; `sqnr_db` is null where not finite, which `exact` tells apart: true without noise."""
        return {
            **super().to_json(),
            "sqnr_db": finite(self.sqnr_db),
            "exact": self.noise == 0,
            "saturated": self.saturated,
            "zeros": self.zeros,
        }


@dataclass(frozen=True, kw_only=True, repr=False)
class Evaluation(Represented):
    """Fractions of the images, and one entry for each layer that chooses a format."""

    images: int
    classes: int
    float_top1: float | None  # None without labels
    fixed_top1: float | None
    float_top5: float | None  # None without labels, and where the classes are fewer than ten
    fixed_top5: float | None
    agreement: float  # float and fixed-point network name the same class
    confusion_matrix: list | None  # counts [float's class][fixed point's]; None for more than 100 classes
    confusions: list  # the 20 most frequent (float's class, fixed point's, count) of different classes
    output_signal: float  # sum x^2 of the float network's output
    output_noise: float  # sum (x - x_fixed)^2
    input: LayerEvaluation
    layers: tuple[LayerEvaluation, ...]
    float_answers: np.ndarray = field(compare=False)  # int64 [images]: the classes named
    fixed_answers: np.ndarray = field(compare=False)

    @property
    def output_sqnr_db(self):
        """Signal-to-quantization-noise ratio of the network's output."""
        return sqnr_db(self.output_signal, self.output_noise)

    @property
    def parameter_bytes(self):
        """Bytes of all weights and biases, each at its own width."""
        return sum(layer.weights.bytes for layer in self.layers if layer.weights is not None)

    def _table(self):
        figures = self.to_json()
        rows = [
            [layer["name"], layer["kind"], *choice_cells(layer), *noise_cells(layer)]
            for layer in (figures["input"], *figures["layers"])
        ]
        return f"Evaluation: {accuracy(figures)}", ["layer", "kind", *CHOICES, *NOISE], rows

    def to_json(self):
        """A dict with every figure."""
        names = ("images", "classes", "float_top1", "fixed_top1", "float_top5", "fixed_top5", "agreement")
        return {
            **{name: getattr(self, name) for name in names},
            "output_sqnr_db": finite(self.output_sqnr_db),
            "output_exact": self.output_noise == 0,
            "parameter_bytes": self.parameter_bytes,
            "confusion_matrix": self.confusion_matrix,
            "confusions": [dict(zip(("float", "fixed", "count"), entry, strict=True)) for entry in self.confusions],
            "input": self.input.to_json(),
            "layers": [layer.to_json() for layer in self.layers],
        }
