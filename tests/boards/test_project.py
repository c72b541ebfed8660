"""A build folder: complete, readable back, replaced as a whole or not at all."""

import json
from dataclasses import replace

import numpy as np
import pytest

import boards
from boards.board import Board
from boards.project import system_files, write_project
from quantflow import tuned_file
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.errors import UserError
from quantflow.manifest import MANIFEST, MODEL, SUMMARY, TRACE, TUNED, VERILOG, Manifest
from quantflow.registers import identity
from tests.quantflow.networks import RandomNetwork

CONFIG = Config(pixels=2, lanes=4, port_bits=32, activation_depth=256, weight_depth=128)
ONE_OF_EACH_KIND = {type(board.system): board for board in boards.all_boards()}.values()
BOARDS = [replace(board, config=CONFIG) for board in ONE_OF_EACH_KIND]


def _network():
    quantized = RandomNetwork(1, (3, 6, 6)).convolution(5, (3, 3)).pool((2, 2)).dense(4, relu=False).finish()
    return compile_network(quantized, CONFIG), quantized


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_build_folder(tmp_path, board):
    """Everything is there, and what is read back is what was compiled."""
    deployment, quantized = _network()
    folder = tmp_path / "new" / "build"
    figures = write_project(deployment, quantized, board, folder)
    verilog = (folder / VERILOG).read_text()
    assert "module accelerator(" in verilog
    manifest = Manifest.read(folder)
    assert manifest == Manifest.of(deployment, board)
    assert json.loads(json.dumps(figures)) == figures
    predicted = figures.pop("predicted")
    assert predicted.keys() == manifest.programs.keys() - {"trace"}
    assert predicted["cold"]["bytes_moved"]["input"] > 0
    assert figures == {
        "board": board.name,
        "config": CONFIG.to_json(),
        "multipliers": 32,
        "verilog_lines": len(verilog.splitlines()),
        "memory_bytes": manifest.memory_bytes,
        "batch": 1,
        "estimated_cycles": manifest.programs["cold"].estimated_cycles,
    }
    assert (folder / MODEL).read_bytes() == deployment.model.tobytes()
    assert (folder / TRACE).read_bytes() == deployment.trace_program.tobytes()
    assert manifest.identity == identity(CONFIG)
    assert manifest.input_address >= len(deployment.model)
    assert manifest.output_address >= manifest.input_address + deployment.input.bytes
    assert manifest.memory_bytes >= manifest.output_address + deployment.output.bytes
    loaded = tuned_file.load(folder / TUNED)
    np.testing.assert_array_equal(loaded.layers["conv1"].weight, quantized.layers["conv1"].weight)
    summary = (folder / SUMMARY).read_text()
    assert board.title in summary and board.note in summary
    for program in deployment.programs.values():
        for label in program.labels:
            assert label in summary
    assert Board.read(folder) == board
    for name in system_files(board, manifest, deployment.model.tobytes()):
        assert (folder / name).stat().st_size
    assert [path.name for path in folder.parent.iterdir()] == ["build"]


def test_a_network_beyond_the_addresses(tmp_path):
    config = replace(CONFIG, memory_address_bits=16)
    network = RandomNetwork(1, (3, 6, 6)).convolution(16, (3, 3)).dense(230).finish()
    board = replace(BOARDS[0], config=config)
    with pytest.raises(UserError, match="bytes of memory, but the machine's addresses, of 16 bits, reach 65536"):
        write_project(compile_network(network, config), network, board, tmp_path / "build")
    assert not list(tmp_path.iterdir()), "nothing is left half written"


def test_replacing(tmp_path):
    """An earlier build goes; any other folder stays."""
    deployment, quantized = _network()
    folder = tmp_path / "build"
    folder.mkdir()
    write_project(deployment, quantized, BOARDS[0], folder)
    (folder / "leftover").touch()
    write_project(deployment, quantized, BOARDS[1], folder)
    assert not (folder / "leftover").exists() and Manifest.read(folder).board == BOARDS[1].name
    (folder / MANIFEST).unlink()
    with pytest.raises(UserError, match="holds something else than a build: name another folder"):
        write_project(deployment, quantized, BOARDS[0], folder)
    assert (folder / VERILOG).exists()
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UserError, match="holds something else than a build"):
        write_project(deployment, quantized, BOARDS[0], file)
    with pytest.raises(UserError, match="cannot be written"):
        write_project(deployment, quantized, BOARDS[0], file / "inside")
