"""Accuracy, agreement, SQNR and shares against sums written out."""

import json
import math
import tracemalloc

import numpy as np
import pytest

from quantflow import integer_engine
from quantflow.accumulation import sum_bits
from quantflow.arithmetic import Format, dequantize
from quantflow.errors import UserError
from quantflow.evaluate import evaluate
from quantflow.evaluation import LayerEvaluation
from quantflow.float_engine import activations
from quantflow.integer_engine import run
from tests.quantflow.branched import branched, branched_images
from tests.quantflow.networks import RandomNetwork

KINDS = {
    "conv1": "Convolution", "conv2": "Convolution", "leaky": "Activation", "sum": "Add", "both": "Concat",
    "mean": "AveragePool", "fc": "Dense",
}  # fmt: skip


def test_every_layer_that_chooses_a_format_is_there():
    evaluation = evaluate(branched(), branched_images())
    assert {layer.name: layer.kind for layer in evaluation.layers} == KINDS
    assert (evaluation.input.name, evaluation.input.kind, evaluation.input.accumulator_bits) == ("image", "Input", None)


def test_layers_figures_are_those_of_the_definitions():
    tuned, x = branched(weight_bits=3), 1.5 * branched_images(200)
    evaluation = evaluate(tuned, x)
    exact, fixed = activations(tuned.network, x), run(tuned, x)
    for layer in (evaluation.input, *evaluation.layers):
        format = tuned.output_format(layer.name)
        y, q = exact[layer.name].astype(np.float64), fixed[layer.name]
        noise = ((y - dequantize(q, format)) ** 2).sum()
        assert layer.sqnr_db == pytest.approx(10 * math.log10((y**2).sum() / noise))
        ends = [format.max, format.min] if format.signed else [format.max]
        assert layer.saturated == np.isin(q, ends).mean()
        assert layer.zeros == (q == 0).mean()
    by_name = {layer.name: layer for layer in evaluation.layers}
    assert 0 < by_name["conv1"].saturated < by_name["conv1"].zeros, "the zeros of an unsigned ReLU are not saturated"
    assert by_name["sum"].saturated > 0
    assert all(layer.accumulator_bits == sum_bits(tuned, tuned.network[name]) for name, layer in by_name.items())
    assert evaluation.output_sqnr_db == by_name["fc"].sqnr_db


def test_the_networks_output_may_be_that_of_a_layer_that_only_moves_values():
    builder = RandomNetwork(3, (2, 6, 6)).convolution(4, (3, 3)).pool((2, 2))
    tuned, x = builder.finish(), np.random.default_rng(0).normal(size=(30, 2, 6, 6)).astype(np.float32)
    evaluation = evaluate(tuned, x)
    exact, fixed = activations(tuned.network, x)["pool2"], dequantize(run(tuned, x)["pool2"], tuned.input)
    assert [layer.name for layer in evaluation.layers] == ["conv1"]
    assert evaluation.output_signal == pytest.approx((exact**2).sum())
    assert evaluation.output_noise == pytest.approx(((exact - fixed) ** 2).sum())


def test_accuracy_and_agreement():
    tuned, x = branched(weight_bits=3), branched_images(300)
    labels = np.random.default_rng(2).integers(0, 12, 300)
    evaluation = evaluate(tuned, x, labels)
    scores = [maps["fc"].reshape(300, 12) for maps in (activations(tuned.network, x), run(tuned, x))]
    float_answers, fixed_answers = (values.argmax(axis=1) for values in scores)
    assert evaluation.float_top1 == np.mean(float_answers == labels)
    assert evaluation.fixed_top1 == np.mean(fixed_answers == labels)
    assert evaluation.agreement == np.mean(float_answers == fixed_answers)
    assert 0.1 < evaluation.agreement < 0.9
    five = [np.mean([y in order[:5] for order, y in zip(_best_first(values), labels)]) for values in scores]
    assert [evaluation.float_top5, evaluation.fixed_top5] == pytest.approx(five)
    matrix = np.zeros((12, 12), int)
    np.add.at(matrix, (float_answers, fixed_answers), 1)
    assert evaluation.confusion_matrix == matrix.tolist()
    assert evaluation.confusions[0][2] == (matrix - np.diag(np.diag(matrix))).max()
    assert sum(count for *_, count in evaluation.confusions) <= round(300 * (1 - evaluation.agreement))


def _best_first(scores):
    """Classes by score, the first of equal ones first."""
    return np.argsort(-scores, axis=1, kind="stable")


def test_less_than_ten_classes_have_no_top_five():
    evaluation = evaluate(branched(classes=9), branched_images(3), np.zeros(3, int))
    assert evaluation.fixed_top1 is not None
    assert (evaluation.float_top5, evaluation.fixed_top5) == (None, None)


def test_without_labels_there_is_agreement_only():
    evaluation = evaluate(branched(), branched_images(3))
    assert (evaluation.float_top1, evaluation.fixed_top1, evaluation.float_top5) == (None, None, None)
    assert (evaluation.images, evaluation.classes) == (3, 12)


def test_batches_do_not_change_figures(monkeypatch):
    tuned, x, labels = branched(), branched_images(11), np.zeros(11, int)
    whole, calls = evaluate(tuned, x, labels), []
    monkeypatch.setattr(integer_engine, "BATCH_BYTES", 1)
    parts = evaluate(tuned, x, labels, progress=lambda *call: calls.append(call))
    assert calls == [(done, 11, "images") for done in range(1, 12)]
    assert parts.confusion_matrix == whole.confusion_matrix
    assert (parts.fixed_top1, parts.fixed_top5, parts.agreement) == (
        whole.fixed_top1, whole.fixed_top5, whole.agreement,
    )  # fmt: skip
    for a, b in zip(whole.layers, parts.layers, strict=True):
        assert (a.saturated, a.zeros, a.sqnr_db) == pytest.approx((b.saturated, b.zeros, b.sqnr_db), rel=1e-5)


def test_maps_are_dropped_after_their_last_reader(monkeypatch):
    """Twenty layers take no more memory than four, beyond the batch that their maps would fill."""
    monkeypatch.setattr("quantflow.evaluate.batches", lambda count, _: [slice(0, count)])

    def peak(depth):
        builder = RandomNetwork(0, (4, 32, 32))
        for _ in range(depth):
            builder.convolution(4, (1, 1))
        tuned = builder.finish()
        tracemalloc.start()
        evaluate(tuned, np.zeros((16, 4, 32, 32), np.float32))
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    assert peak(20) < 1.3 * peak(4)


def test_json_has_the_documented_keys():
    document = json.loads(
        json.dumps(evaluate(branched(), branched_images(4), np.zeros(4, np.int64)).to_json(), allow_nan=False)
    )
    assert {"float_top1", "fixed_top1", "float_top5", "fixed_top5", "agreement", "layers"} <= document.keys()
    assert {"output_sqnr_db", "output_exact", "parameter_bytes", "confusion_matrix", "confusions"} <= document.keys()
    keys = document["input"].keys()
    assert {"name", "kind", "weight_bits", "weight_fl", "activation_bits", "activation_fl", "sqnr_db"} <= keys
    assert all(layer.keys() == keys for layer in document["layers"])
    layers = {layer["name"]: layer for layer in document["layers"]}
    assert (layers["conv1"]["weight_bits"], layers["conv1"]["weight_fl"]) == (8, 8)
    assert [layers["conv1"][f"activation_{key}"] for key in ("bits", "fl", "signed")] == [8, 6, False]
    assert layers["sum"]["weight_bits"] is None and layers["sum"]["parameter_bytes"] is None
    assert document["parameter_bytes"] == sum(layers[name]["parameter_bytes"] for name in ("conv1", "conv2", "fc"))
    assert all(entry.keys() == {"float", "fixed", "count"} for entry in document["confusions"])


def layer_evaluation(**fields):
    common = {"name": "conv", "kind": "Convolution", "saturated": 0.0, "zeros": 0.0}
    return LayerEvaluation(output=Format(bits=8, fl=4), **common, **fields)


def test_sqnr_worked_by_hand():
    assert layer_evaluation(signal=1000.0, noise=1.0).sqnr_db == 30
    assert layer_evaluation(signal=1000.0, noise=0.0).sqnr_db == math.inf
    assert layer_evaluation(signal=0.0, noise=1.0).sqnr_db == -math.inf


def test_json_tells_no_noise_from_no_signal():
    def entry(signal, noise):
        figures = layer_evaluation(signal=signal, noise=noise).to_json()
        return figures["sqnr_db"], figures["exact"]

    assert entry(1000.0, 1.0) == (30, False)
    assert entry(1000.0, 0.0) == (None, True)
    assert entry(0.0, 0.0) == (None, True)
    assert entry(0.0, 1.0) == (None, False)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(2, int), r"^labels are 3 integers, one for each image, not int64 \[2\]$"),
        (np.zeros(3), r"^labels are 3 integers, one for each image, not float64 \[3\]$"),
        (np.array([0, 12, 1]), "^the network has 12 classes, 0 to 11, where a label is 12$"),
        (np.array([0, -1, 1]), "^the network has 12 classes, 0 to 11, where a label is -1$"),
    ],
)
def test_refuses_labels_that_do_not_fit(labels, message):
    with pytest.raises(UserError, match=message):
        evaluate(branched(), branched_images(3), labels)


def test_refuses_unusable_images():
    with pytest.raises(UserError, match="^the evaluation set holds no images$"):
        evaluate(branched(), branched_images(0))
