"""Accuracy, agreement and SQNR against sums written out."""

import json
import math

import numpy as np
import pytest

from quantflow import integer_engine
from quantflow.arithmetic import Format, dequantize
from quantflow.errors import UserError
from quantflow.evaluate import LayerEvaluation, evaluate
from quantflow.float_engine import activations
from quantflow.integer_engine import run
from quantflow.tune import tune
from tests.quantflow.test_tuner import images, small_network


def tuned_pair(bits=4):
    network = small_network()
    return network, tune(network, images(), activation_bits=bits, weight_bits=bits, method="paper")


def test_figures_are_those_of_the_definitions():
    network, tuned = tuned_pair(bits=3)
    x = images(200, seed=9)
    labels = np.random.default_rng(2).integers(0, 3, 200)
    evaluation = evaluate(network, tuned, x, labels)
    exact, fixed = activations(network, x), run(tuned, x)
    float_answers = exact["fc"].reshape(200, 3).argmax(axis=1)
    fixed_answers = fixed["fc"].reshape(200, 3).argmax(axis=1)
    assert evaluation.float_top1 == np.mean(float_answers == labels)
    assert evaluation.fixed_top1 == np.mean(fixed_answers == labels)
    assert evaluation.agreement == np.mean(float_answers == fixed_answers)
    assert 0.5 < evaluation.agreement < 1
    assert [layer.name for layer in evaluation.layers] == ["conv1", "conv2", "fc"]
    for layer in evaluation.layers:
        output = tuned.layers[layer.name].output
        y = exact[layer.name].astype(np.float64)
        noise = ((y - dequantize(fixed[layer.name], output)) ** 2).sum()
        assert layer.sqnr_db == pytest.approx(10 * math.log10((y**2).sum() / noise))
        at_ends = np.isin(fixed[layer.name], (-4, 3)).mean()
        assert layer.saturated == pytest.approx(at_ends)


def test_more_bits_raise_the_sqnr_of_every_layer():
    figures = [[layer.sqnr_db for layer in evaluate(*tuned_pair(bits), images()).layers] for bits in (4, 8, 12)]
    assert all(low < middle < high for low, middle, high in zip(*figures, strict=True))


def test_without_labels_there_is_agreement_only():
    network, tuned = tuned_pair()
    evaluation = evaluate(network, tuned, images(3))
    assert (evaluation.float_top1, evaluation.fixed_top1) == (None, None)
    assert evaluation.images == 3


def test_batches_do_not_change_figures(monkeypatch):
    network, tuned = tuned_pair()
    x, labels = images(11), np.zeros(11, int)
    whole = evaluate(network, tuned, x, labels)
    monkeypatch.setattr(integer_engine, "BATCH_BYTES", 1)
    parts = evaluate(network, tuned, x, labels)
    assert (whole.float_top1, whole.fixed_top1, whole.agreement) == (
        parts.float_top1,
        parts.fixed_top1,
        parts.agreement,
    )
    for a, b in zip(whole.layers, parts.layers, strict=True):
        assert (a.saturated, a.sqnr_db) == pytest.approx((b.saturated, b.sqnr_db), rel=1e-5)


def test_json_has_the_documented_keys():
    network, tuned = tuned_pair()
    document = json.loads(
        json.dumps(evaluate(network, tuned, images(4), np.zeros(4, np.int64)).to_json(), allow_nan=False)
    )
    assert {"float_top1", "fixed_top1", "agreement", "layers"} <= document.keys()
    keys = {"name", "weight_bits", "weight_fl", "activation_bits", "activation_fl", "sqnr_db"}
    assert all(keys <= layer.keys() for layer in document["layers"])
    first, entry = document["layers"][0], tuned.layers["conv1"]
    assert (first["weight_bits"], first["activation_bits"]) == (4, 4)
    assert (first["weight_fl"], first["activation_fl"]) == (int(entry.weight_fl[0]), entry.output.fl)


def layer_evaluation(**fields):
    common = {"name": "conv", "weight_bits": 8, "weight_fl": (7, 7), "saturated": 0.0}
    return LayerEvaluation(activation=Format(bits=8, fl=4), **{**common, **fields})


def test_sqnr_worked_by_hand():
    assert layer_evaluation(signal=1000.0, noise=1.0).sqnr_db == 30
    assert layer_evaluation(signal=1000.0, noise=0.0).sqnr_db == math.inf
    assert layer_evaluation(signal=0.0, noise=1.0).sqnr_db == -math.inf
    assert layer_evaluation(signal=1000.0, noise=0.0).to_json()["sqnr_db"] is None


def test_json_lists_fractional_lengths_where_channels_differ():
    assert layer_evaluation(signal=1.0, noise=1.0, weight_fl=(7, 6)).to_json()["weight_fl"] == [7, 6]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(2, int), r"^labels are 3 integers, one for each image, not int64 \[2\]$"),
        (np.zeros(3), r"^labels are 3 integers, one for each image, not float64 \[3\]$"),
        (np.array([0, 3, 1]), "^the network has 3 classes, 0 to 2, where a label is 3$"),
        (np.array([0, -1, 1]), "^the network has 3 classes, 0 to 2, where a label is -1$"),
    ],
)
def test_refuses_labels_that_do_not_fit(labels, message):
    network, tuned = tuned_pair()
    with pytest.raises(UserError, match=message):
        evaluate(network, tuned, images(3), labels)


def test_refuses_unusable_images():
    network, tuned = tuned_pair()
    with pytest.raises(UserError, match="^the evaluation set holds no images$"):
        evaluate(network, tuned, images(0))
