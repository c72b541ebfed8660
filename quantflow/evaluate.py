"""What quantization costs: accuracy, agreement and signal-to-noise ratio, float against fixed point."""

import math

import numpy as np

from quantflow import float_engine
from quantflow.arithmetic import dequantize, quantize
from quantflow.choices import choices
from quantflow.classification import TOP_FIVE_CLASSES, answers, confusion_matrix, confusions, ranks
from quantflow.datasets import check_images
from quantflow.errors import UserError
from quantflow.evaluation import Evaluation, LayerEvaluation
from quantflow.integer_engine import batches, run_layer, working_bytes
from quantflow.threads import in_order


def evaluate(quantized, images, labels=None, *, progress=None):
    """Run a tuned network beside the float network that it was made from: an Evaluation.

    `images` are float [N, C, H, W], `labels` N integers below the number of outputs, or None. A network's
    answer is the index of its greatest output, the first among equals, over the flattened output map.
    Images go through both networks in batches, on all cores; a map is dropped after its last reader. `progress`, if
    given, is called as `progress(images done, images, "images")` after each batch. Raises UserError for
    images of another shape or not finite, and for labels that are not that.
    """
    network = quantized.network
    images = check_images(images, network.input_shape, "the evaluation set")
    labels = None if labels is None else _check_labels(network, labels, len(images))
    compared = choices(quantized)
    sums = {name: np.zeros(4) for name in (*(entry.name for entry in compared), network.layers[-1].name)}
    found = []

    def compare(batch):
        figures, exact, fixed = _outputs(quantized, images[batch], sums.keys())
        return batch.stop, figures, _answers(exact, fixed, None if labels is None else labels[batch])

    for done, figures, given in in_order(compare, batches(len(images), _image_bytes(network))):
        found.append(given)
        for name, added in figures.items():
            sums[name] += added
        if progress is not None:
            progress(done, len(images), "images")
    layers = tuple(_layer_evaluation(quantized, entry, sums[entry.name], len(images)) for entry in compared)
    return Evaluation(
        images=len(images),
        input=layers[0],
        layers=layers[1:],
        output_signal=float(sums[network.layers[-1].name][0]),
        output_noise=float(sums[network.layers[-1].name][1]),
        **_classification(np.concatenate(found, axis=1), math.prod(network.output_shape), labels is not None),
    )


def _outputs(quantized, x, names):
    """Each map's figures by name, for those in `names`, and both networks' output maps, of the images `x`."""
    network = quantized.network
    q = quantize(x, quantized.input).astype(np.float32)
    exact, fixed = {network.input_name: x}, {network.input_name: q}
    figures = {network.input_name: _deviation(x, q, quantized.input)}
    for layer in network.layers:
        exact[layer.name] = float_engine.apply(layer, *(exact[name] for name in layer.inputs))
        fixed[layer.name] = run_layer(quantized, layer, *(fixed[name] for name in layer.inputs))
        if layer.name in names:
            format = quantized.output_format(layer.name)
            figures[layer.name] = _deviation(exact[layer.name], fixed[layer.name], format)
        for name in network.last_reads[layer.name]:
            del exact[name], fixed[name]
    return figures, exact[network.layers[-1].name], fixed[network.layers[-1].name]


def _deviation(exact, fixed, format):
    """Sums of squares of the float map and of the difference; counts of values at the range's ends and of zeros."""
    fixed = fixed.ravel()
    signal = exact.ravel().astype(np.float64)
    noise = signal - dequantize(fixed, format)
    saturated = np.count_nonzero(fixed == format.max)
    if format.min < 0:
        saturated += np.count_nonzero(fixed == format.min)
    return np.array((signal @ signal, noise @ noise, saturated, fixed.size - np.count_nonzero(fixed)))


def _answers(exact, fixed, labels):
    """Integers [2, N]: each network's answer; with labels [4, N], the label's rank in each as well."""
    maps = (exact, fixed)
    found = [answers(outputs) for outputs in maps]
    return np.array(found if labels is None else [*found, *(ranks(outputs, labels) for outputs in maps)])


def _classification(found, classes, labelled):
    """The Evaluation's figures about answers, from what `_answers` gave for all images."""
    exact, fixed = found[:2]
    five = labelled and classes >= TOP_FIVE_CLASSES
    return {
        "classes": classes,
        "float_answers": exact,
        "fixed_answers": fixed,
        "agreement": float(np.mean(exact == fixed)),
        "float_top1": float(np.mean(found[2] == 0)) if labelled else None,
        "fixed_top1": float(np.mean(found[3] == 0)) if labelled else None,
        "float_top5": float(np.mean(found[2] < 5)) if five else None,
        "fixed_top5": float(np.mean(found[3] < 5)) if five else None,
        "confusion_matrix": confusion_matrix(exact, fixed, classes),
        "confusions": confusions(exact, fixed),
    }


def _layer_evaluation(quantized, entry, sums, images):
    """The LayerEvaluation of the LayerChoices `entry`, from the sums over all images."""
    network = quantized.network
    shape = network.input_shape if entry.name == network.input_name else network[entry.name].output_shape
    signal, noise, saturated, zeros = map(float, sums)
    values = images * math.prod(shape)
    return LayerEvaluation(
        **vars(entry), signal=signal, noise=noise, saturated=saturated / values, zeros=zeros / values
    )


def _image_bytes(network):
    """Memory of one image while all maps of both networks are kept, an upper bound of what is."""
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
