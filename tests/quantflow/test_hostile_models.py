"""Thousands of damaged models: each is imported rightly or refused in one sentence, in bounded time and memory."""

import os
import re
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec

import numpy as np
import pytest
from onnx import helper

from quantflow.errors import UserError
from quantflow.importer import drafting, load_network
from tests.quantflow.hostile_worker import Worker
from tests.quantflow.mutation_seeds import branches, moves, real_seeds, small_seeds
from tests.quantflow.mutations import MUTATIONS, mutated
from tests.quantflow.onnx_graphs import build, floats, saved

SENTENCE = 400  # characters, without the file's path
node = helper.make_node
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the worker's memory is read from /proc")


@pytest.fixture(scope="module")
def worker():
    with Worker() as process:
        yield process


def assert_sentence(text, path):
    """One plain sentence: no lines, no control characters, nothing of Python's inner life."""
    text = text.replace(str(path), "model")
    assert text.isprintable() and len(text) <= SENTENCE, text
    assert not re.search(r"Traceback| at 0x|<class|object at|Error\(|np\.|array\(", text), text


def judge(worker, seeds, indices, folder):
    """The outcomes by kind of damage, after checking every one."""
    path, faults, outcomes = folder / "model.onnx", [], Counter()
    for index in indices:
        name, content = mutated(seeds, index)
        path.write_bytes(content)
        outcome = worker.judge(path)
        outcomes[outcome.kind, outcome.run] += 1
        if outcome.kind == "failed":
            faults.append(f"file {index} ({name}): {outcome.text}")
        elif outcome.kind == "refused":
            assert_sentence(outcome.text, path)
        assert path.read_bytes() == content
    assert [each.name for each in folder.iterdir()] == ["model.onnx"]
    assert not faults, "\n".join(faults)
    kinds = Counter()
    for (kind, _), count in outcomes.items():
        kinds[kind] += count
    assert kinds["imported"] > len(indices) / 20 and kinds["refused"] > len(indices) / 4
    assert outcomes["imported", "compared"] > kinds["imported"] / 2 or not find_spec("onnxruntime")
    return kinds


def test_damaged_models(worker, tmp_path):
    judge(worker, small_seeds(), range(20 * len(MUTATIONS)), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("first", [10_000, 20_000])
def test_two_thousand_damaged_models(first, worker, tmp_path):
    judge(worker, small_seeds(), range(first, first + 2000), tmp_path)


@pytest.mark.slow
def test_damaged_real_networks(worker, tmp_path):
    seeds = real_seeds()
    if not seeds:
        pytest.skip("no real networks in the data folder")
    judge(worker, seeds, range(30_000, 30_000 + 40 * len(MUTATIONS)), tmp_path)


def test_the_sound_models_are_imported_and_right(worker, tmp_path):
    for content in small_seeds():
        (tmp_path / "model.onnx").write_bytes(content)
        outcome = worker.judge(tmp_path / "model.onnx")
        fine = ("compared", "the model ends on the host", "no onnxruntime here")
        assert outcome.kind == "imported" and outcome.run in fine


def test_the_files_are_always_the_same():
    seeds = small_seeds()
    assert [mutated(seeds, index) for index in range(40)] == [mutated(seeds, index) for index in range(40)]


# What the worker notices


def test_the_worker_notices_what_a_file_must_not_do(worker, tmp_path, monkeypatch):
    """A process that hangs, ends, takes memory, writes or raises is told from one that refuses."""
    from tests.quantflow import hostile_worker

    path = saved(moves(), tmp_path)
    cases = {
        "takes more than 1 s": lambda path: __import__("time").sleep(60),
        "ends the process": lambda path: __import__("os")._exit(1),
        "MemoryError": lambda path: np.ones(3 << 28),
        "opens": lambda path: (tmp_path / "other").write_text(""),
        "KeyError": lambda path: {}[path],
    }
    monkeypatch.setattr(hostile_worker, "SECONDS", 1)
    for words, function in cases.items():
        monkeypatch.setattr(hostile_worker, "inspect_model", function)
        with Worker() as process:
            outcome = process.judge(path)
        assert outcome.kind == "failed" and words in outcome.text
    assert worker.judge(path).kind == "imported"


# Faults that such files have shown


def refused(worker, model, folder):
    outcome = worker.judge(saved(model, folder))
    assert outcome.kind == "refused", outcome
    assert_sentence(outcome.text, folder / "model.onnx")
    return outcome.text


def chain_of(count, operator, second=()):
    """`count` foldable nodes on a constant of 4 million values in front of a sound model."""
    nodes = [node("ConstantOfShape", ["many"], ["c"])]
    nodes += [node(operator, ["c", *second], [f"c{index}"]) for index in range(count)]
    nodes += [node("Conv", ["x", "w"], ["y"])]
    constants = {"many": np.array([1 << 22]), "w": floats(np.random.default_rng(1), 2, 3, 1, 1)}
    return build(nodes, constants | {"one": np.ones(1, np.float32)})


def test_work_among_constants_is_bounded(worker, tmp_path):
    text = refused(worker, chain_of(9000, "ReduceProd"), tmp_path)
    assert "is not computed: the model asks for more work among its constants than is allowed" in text


def test_memory_of_constants_is_bounded(worker, tmp_path):
    text = refused(worker, chain_of(60, "Add", ["one"]), tmp_path)
    assert "asks for more work among its constants than is allowed" in text


def test_small_constants_grow_to_a_bound(worker, tmp_path):
    nodes = [node("Concat", [f"c{k}", f"c{k}"], [f"c{k + 1}"], axis=0) for k in range(40)]
    constants = {"c0": np.ones(64, np.float32), "w": np.ones((1, 3, 1, 1), np.float32)}
    model = build([*nodes, node("Conv", ["x", "w"], ["y"])], constants)
    assert "makes a constant of 8388608 values out of 4194304; at most 4194304 are" in refused(worker, model, tmp_path)


def test_large_weights_are_still_computed(worker, tmp_path):
    rng = np.random.default_rng(2)
    nodes = [node("Transpose", ["w"], ["t"], perm=[1, 0]), node("Flatten", ["x"], ["f"])]
    model = build([*nodes, node("MatMul", ["f", "t"], ["y"])], {"w": floats(rng, 30_000, 192)})
    assert worker.judge(saved(model, tmp_path)).kind == "imported"


@pytest.mark.parametrize("count", [1, 3])
def test_weights_of_one_number_are_as_large_as_any_networks(worker, tmp_path, count):
    """A small file may fill memory with them, but within the bound, however many layers copy them."""
    nodes = [node("ConstantOfShape", ["shape"], ["w"]), node("Flatten", ["x"], ["y0"])]
    nodes += [node("Gemm", [f"y{index}", "w"], [f"y{index + 1}"], alpha=0.5) for index in range(count)]
    model = build(nodes, {"shape": np.array([10240, 10240])}, ("N", 10240, 1, 1))
    outcome = worker.judge(saved(model, tmp_path))
    assert outcome.kind == ("imported" if count == 1 else "refused"), outcome
    assert count == 1 or "beyond 201326592 weights, which is the limit" in outcome.text


def test_more_weights_of_one_number_than_any_network_has(worker, tmp_path):
    nodes = [node("ConstantOfShape", ["shape"], ["w"]), node("Flatten", ["x"], ["f"]), node("Gemm", ["f", "w"], ["y"])]
    model = build(nodes, {"shape": np.array([10241, 10240])}, ("N", 10241, 1, 1))
    assert "makes a constant of 104867840 values out of 2; at most 104857600 are" in refused(worker, model, tmp_path)


def shared(count, operator, size, weight, **attributes):
    """`count` layers, one behind the other, on [N, size], which all read one constant."""
    names = ["x", *(f"c{index}" for index in range(count))]
    nodes = [node(operator, [names[k], "w"], [names[k + 1]], **attributes) for k in range(count)]
    return build(nodes, {"w": weight}, ("N", size))


def test_thousands_of_layers_with_one_initializer(worker, tmp_path, monkeypatch):
    """What they share is held once; what each computes is counted."""
    network = load_network(saved(shared(300, "Gemm", 30, np.ones((30, 30), np.float32), transB=1), tmp_path))
    assert all(np.shares_memory(layer.weight, network.layers[0].weight) for layer in network.layers)
    monkeypatch.setattr(drafting, "MAX_PARAMETERS", 4000)
    copies = shared(300, "Gemm", 30, np.ones((30, 30), np.float32), alpha=0.5)
    for model, first in ((copies, "Gemm 'c4'"), (shared(9, "Mul", 1000, np.array(2, np.float32)), "Mul 'c2'")):
        with pytest.raises(UserError, match=f"{first} takes the network beyond 4000 weights, which is the limit"):
            load_network(saved(model, tmp_path))
    assert worker.judge(saved(shared(80, "PRelu", 1 << 25, np.ones(1, np.float32)), tmp_path)).kind == "imported"


@pytest.mark.parametrize("name", ["strides", "dilations"])
def test_steps_are_bounded(name, worker, tmp_path):
    model = build([node("Conv", ["x", "w"], ["y"], **{name: [1, 2**40]})], {"w": np.ones((1, 3, 1, 1), np.float32)})
    text = refused(worker, model, tmp_path)
    assert f"has {name} [1, 1099511627776]; at most 16777216 is supported" in text


def test_relus_behind_thousands_of_poolings(worker, tmp_path):
    nodes = [node("Conv", ["x", "w"], ["c0"])]
    for k in range(0, 9000, 2):
        nodes += [node("MaxPool", [f"c{k}"], [f"c{k + 1}"], kernel_shape=[1, 1])]
        nodes += [node("Relu", [f"c{k + 1}"], [f"c{k + 2}"])]
    outcome = worker.judge(saved(build(nodes, {"w": np.ones((1, 3, 1, 1), np.float32)}), tmp_path))
    assert outcome.kind == "imported"


def test_a_split_into_thousands(worker, tmp_path):
    outputs = [f"y{index}" for index in range(5000)]
    text = refused(worker, build([node("Split", ["x"], outputs, axis=1)]), tmp_path)
    assert text.endswith("has a node of 5001 inputs and outputs; at most 1024 are supported")
    many = [node("Split", ["x"], [f"{index}:{k}" for k in range(1000)], axis=1) for index in range(21)]
    assert "has nodes with 21000 outputs in all; at most 20000 are supported" in refused(worker, build(many), tmp_path)


def test_names_of_any_length_and_number(worker, tmp_path):
    model = branches()
    model.graph.node[0].name = "a" * 5000
    assert refused(worker, model, tmp_path).endswith("has a name of 5000 characters; at most 1024 are supported")
    nodes = [node("Conv", ["x", "w"], ["c"])]
    nodes += [node("Relu", [f"c{'r' * k}"], [f"c{'r' * (k + 1)}"]) for k in range(900)]
    for each in nodes:
        each.name = "same"
    outcome = worker.judge(saved(build(nodes, {"w": floats(np.random.default_rng(3), 3, 3, 1, 1)}), tmp_path))
    assert outcome.kind == "imported"


def test_shapes_that_nothing_can_have(worker, tmp_path):
    model = branches()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2**63 - 1
    assert "at most 16777216 images at a time are supported" in refused(worker, model, tmp_path)
    model = moves()
    model.graph.initializer[0].dims[:] = [1] * 8 + [8]
    assert "of 9 dimensions; at most 8 are supported" in refused(worker, model, tmp_path)


def test_guessed_shapes_behind_a_refused_node_are_possible_ones(worker, tmp_path):
    constants = {"w": floats(np.random.default_rng(4), 3, 3, 1, 1), "b": np.ones(1, np.float32)}
    for size in (0, 2**62):
        model = build([node("Mystery", ["x"], ["m"]), node("Add", ["m", "b"], ["y"])], constants)
        model.graph.value_info.append(helper.make_tensor_value_info("m", 1, ("N", size)))
        assert "Mystery 'm' is not supported" in refused(worker, model, tmp_path)


def test_more_dimensions_than_numpy_has(worker, tmp_path):
    nodes = [node("Expand", ["b", "shape"], ["e"]), node("Conv", ["x", "e"], ["y"])]
    model = build(nodes, {"b": np.ones(1, np.float32), "shape": np.ones(64, np.int64)})
    assert "cannot be computed from its constants" in refused(worker, model, tmp_path)
    model = build(nodes, {"b": np.ones(1, np.float32), "shape": np.ones(9, np.int64)})
    assert "9 dimensions and 1 values, which is not supported" in refused(worker, model, tmp_path)


def test_constants_are_cast_to_numbers_only(worker, tmp_path):
    nodes = [node("Cast", ["w"], ["t"], to=8), node("Conv", ["x", "t"], ["y"])]
    model = build(nodes, {"w": np.ones((1, 3, 1, 1), np.float32)})
    assert "casts a constant to a type that is not supported" in refused(worker, model, tmp_path)


def test_names_do_not_command_the_terminal(tmp_path):
    model = branches()
    model.graph.node[0].name, model.graph.node[1].op_type = "first\x1b[31m\nsecond", "Strange\x1b[2J"
    command = [sys.executable, "-m", "quantflow.cli", "inspect", str(saved(model, tmp_path))]
    shown = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "COLUMNS": "200"})
    assert shown.returncode == 2 and not shown.stderr
    assert r"first\x1b[31m\nsecond" in shown.stdout and r"Strange\x1b[2J" in shown.stdout
    assert "\x1b" not in shown.stdout
