"""Files that are no model, half a model or a hostile one: one sentence each, nothing written, nothing run."""

import os

import numpy as np
import pytest
from onnx import TensorProto, helper

from quantflow.errors import UserError
from quantflow.importer import files, inspect_model, load_network
from tests.quantflow.onnx_graphs import build, floats, saved


def small_model():
    rng = np.random.default_rng(1)
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "m"], ["y"]),
    ]
    constants = {"w": floats(rng, 2, 3, 3, 3), "b": floats(rng, 2), "m": floats(rng, 32, 3)}
    return build(nodes, constants)


def sentence(path):
    """What both the loader and the inspection say."""
    texts = set()
    for function in (load_network, inspect_model):
        with pytest.raises(UserError) as caught:
            function(path)
        texts.add(str(caught.value))
    (text,) = texts
    assert "\n" not in text
    return text


def test_a_missing_file(tmp_path):
    path = tmp_path / "none.onnx"
    assert sentence(path) == f"there is no file {path}; give the path of an ONNX file"
    assert sentence(str(path)) == f"there is no file {path}; give the path of an ONNX file"


def test_a_folder(tmp_path):
    assert sentence(tmp_path) == f"{tmp_path} is a folder; give the ONNX file itself"


def test_a_name_that_cannot_be_a_files(tmp_path):
    assert "cannot be read: " in sentence("a" * 5000) or "there is no file" in sentence("a" * 5000)
    assert "null" in sentence("a\0b") or "there is no file" in sentence("a\0b")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert sentence(tmp_path / "pipe").endswith("is not a regular file; give the path of an ONNX file")


@pytest.mark.parametrize(
    "content", [b"hello, this is no model\n", b"\x89PNG\r\n\x1a\n", b"{}", b"\x00" * 100]
)
def test_other_files(content, tmp_path):
    (tmp_path / "a.onnx").write_bytes(content)
    text = sentence(tmp_path / "a.onnx")
    assert text == f"{tmp_path / 'a.onnx'} is not an ONNX file: it cannot be parsed; export the model again"


def test_an_empty_file(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"")
    assert sentence(tmp_path / "a.onnx") == f"{tmp_path / 'a.onnx'} is empty; an ONNX file is expected"


def test_a_file_of_another_protobuf_message(tmp_path):
    tensor = helper.make_tensor("t", TensorProto.INT64, [1], [5])
    (tmp_path / "a.onnx").write_bytes(tensor.SerializeToString())
    assert "is not an ONNX file" in sentence(tmp_path / "a.onnx") or "damaged" in sentence(
        tmp_path / "a.onnx"
    )


def test_every_truncation_is_refused(tmp_path):
    content = small_model().SerializeToString()
    path = tmp_path / "a.onnx"
    for length in range(1, len(content)):
        path.write_bytes(content[:length])
        text = sentence(path)
        assert "truncated" in text or "only the beginning of one" in text or "no opset version" in text


def test_files_and_graphs_that_are_too_large(tmp_path, monkeypatch):
    path = saved(small_model(), tmp_path)
    monkeypatch.setattr(files, "MAX_NODES", 4)
    assert sentence(path) == f"{path} has 5 nodes; at most 4 are supported"
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    assert sentence(path) == f"{path} has {path.stat().st_size} bytes; an ONNX file has at most 100"


@pytest.mark.parametrize("version", [-1, 0, 1, 6, 29, 1 << 40])
def test_opsets_that_we_do_not_know(version, tmp_path):
    model = small_model()
    model.opset_import[0].version = version
    text = sentence(saved(model, tmp_path))
    assert f"uses opset {version}; 7 to 28 are supported: export it again with one of these" in text


def test_missing_and_contradictory_opsets(tmp_path):
    model = small_model()
    model.opset_import.append(helper.make_opsetid("ai.onnx", 15))
    assert "declares several opset versions of ONNX's operators" in sentence(saved(model, tmp_path))
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    assert "declares no opset version of ONNX's operators" in sentence(saved(model, tmp_path))


def test_unused_operator_sets_and_the_long_spelling_of_onnxs_own_are_fine(tmp_path):
    model = small_model()
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    model.opset_import[0].domain = model.graph.node[0].domain = "ai.onnx"
    assert len(load_network(saved(model, tmp_path)).layers) == 3


def external(model, **entries):
    """Move the first initializer's data out of the model, to where `entries` say."""
    tensor = model.graph.initializer[0]
    content = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=str(value))
    return content


def test_external_data_beside_the_model_is_read(tmp_path):
    expected = load_network(saved(small_model(), tmp_path))["c"].weight
    model = small_model()
    content = external(model, location="sub/weights.bin", offset=16, length=216)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "weights.bin").write_bytes(b"x" * 16 + content + b"y")
    np.testing.assert_array_equal(load_network(saved(model, tmp_path))["c"].weight, expected)


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"location": "../outside.bin"}, "in '../outside.bin'; external data must lie in the model's folder"),
        ({"location": "/etc/hostname"}, "external data must lie in the model's folder"),
        ({"location": "link.bin"}, "external data must lie in the model's folder"),
        ({"location": ""}, "external data must lie in the model's folder"),
        ({}, "external data must lie in the model's folder"),
        ({"location": "none.bin"}, "in 'none.bin', a file that is not beside the model"),
        ({"location": "."}, "in '.', a file that is not beside the model"),
        ({"location": "a\0b"}, "in 'a\\x00b', which cannot be read (ValueError)"),
        (
            {"location": "short.bin"},
            "at bytes 0 to 216 of 'short.bin'; it needs 216 bytes and the file has 100",
        ),
        ({"location": "short.bin", "length": 100}, "it needs 216 bytes and the file has 100"),
        ({"location": "long.bin", "offset": 10**18}, "it needs 216 bytes and the file has 300"),
        ({"location": "long.bin", "offset": -4}, "with the offset '-4' of its external data; a number is"),
        ({"location": "long.bin", "length": "9" * 99}, "of its external data; a number is expected"),
    ],
)
def test_external_data_elsewhere_or_of_the_wrong_size_is_not(entries, reason, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "outside.bin").write_bytes(b"z" * 300)
    (folder / "link.bin").symlink_to(tmp_path / "outside.bin")
    (folder / "short.bin").write_bytes(b"z" * 100)
    (folder / "long.bin").write_bytes(b"z" * 300)
    model = small_model()
    external(model, **entries)
    with pytest.raises(UserError) as caught:
        load_network(saved(model, folder))
    assert "Conv 'c' has the weight 'w' " in str(caught.value)
    assert reason in str(caught.value)
    assert not inspect_model(folder / "model.onnx").supported


@pytest.mark.parametrize("text", [b"Gemm", b"w", b"kernel_shape"])
def test_names_that_are_no_text(text, tmp_path):
    content = small_model().SerializeToString()
    path = tmp_path / "a.onnx"
    place = content.index(bytes([len(text)]) + text) + len(text)
    path.write_bytes(content[:place] + b"\xff" + content[place + 1 :])
    assert sentence(path).startswith(f"{path} is a damaged ONNX file: a name in it is not text; ")


def test_loading_writes_nothing(tmp_path):
    path = saved(small_model(), tmp_path)
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in tmp_path.rglob("*")}
    load_network(path)
    inspect_model(path)
    assert before == {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in tmp_path.rglob("*")}


def test_damaged_bytes_give_a_network_or_a_sentence(tmp_path):
    rng = np.random.default_rng(2)
    content = np.frombuffer(small_model().SerializeToString(), np.uint8)
    path = tmp_path / "a.onnx"
    outcomes = {True: 0, False: 0}
    for _ in range(600):
        damaged = content.copy()
        places = rng.integers(0, len(content), rng.integers(1, 4))
        damaged[places] = rng.integers(0, 256, len(places))
        path.write_bytes(damaged.tobytes())
        try:
            supported = inspect_model(path).supported
        except UserError:
            supported = False
        try:
            load_network(path)
            assert supported
        except UserError as error:
            assert not supported and "\n" not in str(error)
        outcomes[supported] += 1
    assert min(outcomes.values()) > 100
