"""What quantization costs: accuracy, agreement and signal-to-noise ratio, float against fixed point."""

import math
from dataclasses import dataclass

import numpy as np

from quantflow.arithmetic import Format, dequantize, quantize
from quantflow.datasets import check_images
from quantflow.errors import UserError
from quantflow.float_engine import activations
from quantflow.integer_engine import batches, run_integers, working_bytes


@dataclass(frozen=True, kw_only=True)
class LayerEvaluation:
    """One layer's formats, and how far its fixed-point output is from the float output."""

    name: str
    weight_bits: int
    weight_fl: tuple[int, ...]  # of each output channel
    activation: Format  # of the output
    signal: float  # sum x^2 of the float output over all images
    noise: float  # sum (x - x_fixed)^2
    saturated: float  # share of the output's values at either end of the format's range

    @property
    def sqnr_db(self):
        """10 log10(signal / noise) in decibels: infinite without noise, minus infinity without signal."""
        if self.noise == 0:
            return math.inf
        return 10 * math.log10(self.signal / self.noise) if self.signal else -math.inf

    def to_json(self):
        """A dict; `weight_fl` is a number where all channels agree, `sqnr_db` null where not finite."""
        uniform = len(set(self.weight_fl)) == 1
        return {
            "name": self.name,
            "weight_bits": self.weight_bits,
            "weight_fl": self.weight_fl[0] if uniform else list(self.weight_fl),
            "activation_bits": self.activation.bits,
            "activation_fl": self.activation.fl,
            "sqnr_db": self.sqnr_db if math.isfinite(self.sqnr_db) else None,
            "saturated": self.saturated,
        }


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Fractions of the images, and one entry for each layer that has weights."""

    images: int
    float_top1: float | None  # None without labels
    fixed_top1: float | None
    agreement: float  # float and fixed-point network name the same class
    layers: tuple[LayerEvaluation, ...]

    def to_json(self):
        return {
            "images": self.images,
            "float_top1": self.float_top1,
            "fixed_top1": self.fixed_top1,
            "agreement": self.agreement,
            "layers": [layer.to_json() for layer in self.layers],
        }


def evaluate(network, quantized, images, labels=None):
    """Run both networks on `images` (float [N, C, H, W]): an Evaluation.

    A network's answer is the index of its greatest output, the first among equals, over the flattened
    output map. `labels` are N integers below the number of outputs, or None. Raises UserError for images
    of another shape or not finite, and for labels that are not that.
    """
    images = check_images(images, network.input_shape, "the evaluation set")
    labels = None if labels is None else _check_labels(network, labels, len(images))
    answers = {"float": [], "fixed": []}
    sums = {name: np.zeros(3) for name in quantized.layers}  # signal, noise, saturated values
    for batch in batches(len(images), _image_bytes(network)):
        exact = activations(network, images[batch])
        fixed = run_integers(quantized, quantize(images[batch], quantized.input), keep=True)
        for name, layer in quantized.layers.items():
            sums[name] += _deviation(exact[name], fixed[name], layer.output)
        last = network.layers[-1].name
        answers["float"].append(_answer(exact[last]))
        answers["fixed"].append(_answer(fixed[last]))
    float_answers, fixed_answers = (np.concatenate(parts) for parts in answers.values())
    return Evaluation(
        images=len(images),
        float_top1=None if labels is None else float(np.mean(float_answers == labels)),
        fixed_top1=None if labels is None else float(np.mean(fixed_answers == labels)),
        agreement=float(np.mean(float_answers == fixed_answers)),
        layers=tuple(_layer_evaluation(network, quantized.layers[name], *sums[name], len(images)) for name in sums),
    )


def _deviation(exact, fixed, format):
    """Sum of squares of the float map, of the difference, and the number of values at the range's ends."""
    exact = exact.astype(np.float64)
    difference = exact - dequantize(fixed, format)
    saturated = np.count_nonzero((fixed == format.min) | (fixed == format.max))
    return np.array([np.sum(exact**2), np.sum(difference**2), saturated])


def _layer_evaluation(network, layer, signal, noise, saturated, images):
    return LayerEvaluation(
        name=layer.name,
        weight_bits=layer.weight_bits,
        weight_fl=tuple(int(fl) for fl in layer.weight_fl),
        activation=layer.output,
        signal=float(signal),
        noise=float(noise),
        saturated=float(saturated) / (images * math.prod(network[layer.name].output_shape)),
    )


def _answer(outputs):
    return outputs.reshape(len(outputs), -1).argmax(axis=1)


def _image_bytes(network):
    """Memory of one image while all maps of both networks are kept."""
    maps = sum(math.prod(layer.output_shape) for layer in network.layers)
    return 8 * maps + max(map(working_bytes, network.layers))


def _check_labels(network, labels, count):
    labels, classes = np.asarray(labels), math.prod(network.output_shape)
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise UserError(f"labels are {count} integers, one for each image, not {labels.dtype} {list(labels.shape)}")
    if labels.min() < 0 or labels.max() >= classes:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise UserError(f"the network has {classes} classes, 0 to {classes - 1}, where a label is {wrong}")
    return labels
