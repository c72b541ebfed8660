"""The iCEBreaker's whole machine as the cells that the flow makes of it: a network runs, bit-exact."""

import boards
from boards.project import write_project
from hdl.accelerator import TOP
from quantflow.arithmetic import dequantize
from quantflow.compiler import compile_network
from quantflow.manifest import VERILOG
from sim.inference import simulate
from tests.boards.flow.cells import FAMILIES, needs_icarus, netlist_of, verilog_of
from tests.quantflow.networks import RandomNetwork


@needs_icarus
def test_a_network_runs_on_cells(tmp_path):
    board, family = boards.find("icebreaker"), FAMILIES["ice40"]
    network = RandomNetwork(4, (2, 8, 8)).convolution(4, (3, 3), padding=(1, 1, 1, 1)).pool((2, 2)).dense(5, relu=False)
    quantized = network.finish()
    folder, work = tmp_path / "build", tmp_path / "work"
    work.mkdir()
    write_project(compile_network(quantized, board.config), quantized, board, folder)
    machine = netlist_of((folder / VERILOG).read_text(), TOP, family, work)
    (folder / VERILOG).write_text(verilog_of(machine, TOP, family, work))
    result = simulate(folder, dequantize(network.images(2), quantized.input), simulator="icarus")
    assert result.first_mismatch is None and result.bit_exact and result.images == 2
