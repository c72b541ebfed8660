"""What the commands say about choices set by hand."""

import json

import numpy as np
import pytest

from quantflow.cli import main
from quantflow.commands.tuned import load_built, load_tuned
from quantflow.errors import UserError
from quantflow.manifest import TUNED
from quantflow.tuned_file import load, save
from tests.quantflow.networks import RandomNetwork, with_floats
from tests.quantflow.tuned_folders import assert_equal, entry, rewrite

EDIT = "layer conv1: output fl 6 was set by hand (tuned: 7)"


@pytest.fixture
def tuned(tmp_path):
    network = RandomNetwork(1, (3, 6, 6)).convolution(5, (3, 3)).pool((2, 2)).dense(4, relu=False)
    save(with_floats(network.finish()), tmp_path / "tuned")
    return tmp_path / "tuned"


def run(*arguments):
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return exit_.value.code


def test_an_unedited_network_is_loaded_silently(tuned, capsys):
    assert_equal(load_tuned(tuned), load(tuned))
    assert capsys.readouterr().out == ""


def test_each_edit_is_printed_once(tuned, capsys):
    rewrite(tuned, entry("conv1", "output", "fl")(6))
    assert_equal(load_tuned(tuned), load(tuned))
    assert capsys.readouterr().out == f"{tuned}: {EDIT}\n"
    save(load(tuned), tuned)
    load_tuned(tuned)
    assert capsys.readouterr().out == f"{tuned}: {EDIT}\n", "saved, it is still not the tuner's choice"


def test_generate_and_simulate_say_what_was_set_by_hand(tuned, tmp_path, capsys):
    rewrite(tuned, entry("conv1", "output", "fl")(6))
    build = tmp_path / "build"
    assert run("generate", tuned, "--board", "pynq-z2", "-o", build, "--json", tmp_path / "g.json") == 0
    assert f"{tuned}: {EDIT}" in capsys.readouterr().out
    assert json.loads((tmp_path / "g.json").read_text())["by_hand"] == [EDIT]
    assert load_built(build).by_hand == (EDIT,)
    assert capsys.readouterr().out == f"{build}: {EDIT}\n"


def test_a_build_is_not_edited(tuned, tmp_path, capsys):
    """Its program and memory image hold the integers from before."""
    build = tmp_path / "build"
    assert run("generate", tuned, "--board", "pynq-z2", "-o", build) == 0
    rewrite(build / TUNED, entry("conv1", "output", "fl")(6))
    with pytest.raises(UserError) as caught:
        load_built(build)
    expected = f"was edited after the build was generated ({EDIT}): edit the tuned network that generate reads, then"
    assert expected in str(caught.value)
    np.savez(tmp_path / "x.npz", x=np.zeros((1, 3, 6, 6), np.float32))
    capsys.readouterr()
    assert run("simulate", build, "--images", tmp_path / "x.npz") == 2
    assert expected in capsys.readouterr().err


def test_compare_says_which_of_two_was_set_by_hand(tuned, tmp_path, capsys):
    save(load(tuned), tmp_path / "other")
    rewrite(tmp_path / "other", entry("conv1", "output", "fl")(6))
    assert run("compare", tuned, tmp_path / "other", "--json", tmp_path / "c.json") == 0
    assert f"{tmp_path / 'other'}: {EDIT}" in capsys.readouterr().out
    assert json.loads((tmp_path / "c.json").read_text())["by_hand"] == {"a": [], "b": [EDIT]}


def test_export_says_what_was_set_by_hand(tuned, tmp_path, capsys):
    rewrite(tuned, entry("conv1", "output", "fl")(6))
    assert run("export", tuned, "-o", tmp_path / "t.onnx", "--json", tmp_path / "e.json") == 0
    assert f"{tuned}: {EDIT}" in capsys.readouterr().out
    assert json.loads((tmp_path / "e.json").read_text())["by_hand"] == [EDIT]
