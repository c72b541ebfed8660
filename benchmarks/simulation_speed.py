"""How fast the whole machine is simulated, beside the bare multiplier array under the same simulator and flags.

    python -m benchmarks.simulation_speed [--turns 3] [--machines ulx3s-85f] > simulation_speed.json

The machine runs a network from start to end, its memory and its host included; the array, all of whose inputs
toggle, runs as many cycles, and so does a clock with nothing behind it, which is what cocotb itself takes. They
take turns, and seconds are the processor's, so that other programs' load changes little. Prints one JSON object:
for each machine the cycles per second of all three in every turn, the median of the turns' ratios of machine and
array, which is to be at least TARGET, and the same ratio after the clock's time is taken from both.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from amaranth import Shape

import boards
from benchmarks import bare_array, shapes
from benchmarks.timing import load_average, median
from boards.project import write_project
from hdl.datapath.mac_array import MacArray
from hdl.verilog import to_verilog
from quantflow import lenet
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.cycles import MemoryTiming
from quantflow.graph import Convolution, Network, Window
from quantflow.importer import load_network
from quantflow.manifest import Manifest
from quantflow.tuner.tune import tune
from sim.machine import Machine
from sim.simulator import build
from sim.testbench import with_parameters

TARGET = 0.4
CLOCK = """
module clock_alone(input wire clk, input wire rst, output reg [63:0] cycle);
    always @(posedge clk) cycle <= rst ? 0 : cycle + 1;
endmodule
"""
IMAGES = 100  # digits that the small machine reads
LARGE = Config(
    pixels=7,
    lanes=16,
    products_per_dsp=2,
    port_bits=64,
    ports=4,
    activation_depth=8192,
    weight_depth=4096,
    parameter_depth=256,
)


def _lenet():
    (calibration, _), (images, _) = lenet.demo_images()
    quantized = tune(load_network(lenet.model_path()), calibration, method="paper")
    scale = 2.0**quantized.input.fl
    return quantized, np.clip(np.rint(images[:IMAGES] * scale), -128, 127).astype(np.int32)


def _convolutions():
    """Two of VGG-16's convolutions of 256 channels, on a smaller map: what the array is kept busy with."""
    shape, window = (256, 14, 14), Window(kernel=(3, 3), padding=(1, 1, 1, 1))
    weights = {"weight": np.broadcast_to(np.float32(0), (256, 256, 3, 3)), "bias": np.zeros(256, np.float32)}
    layers = [
        Convolution(
            name=f"conv{number}",
            inputs=("image" if number == 1 else "conv1",),
            input_shape=shape,
            output_shape=shape,
            window=window,
            relu=True,
            **weights,
        )
        for number in (1, 2)
    ]
    network = Network(name="convolutions", input_name="image", input_shape=shape, layers=tuple(layers))
    quantized = shapes.with_random_integers(network)
    return quantized, shapes.random_images(network)


def machines():
    """Name to board and network of the machines that are measured."""
    ulx3s = boards.find("ulx3s-85f")
    large = replace(boards.find("zc706"), config=LARGE, given_memory=MemoryTiming(latency=30, bytes_per_cycle=28))
    return {"ulx3s-85f": (ulx3s, _lenet), "P 7, I = O 16": (large, _convolutions)}


class Subjects:
    """One machine with its network, and its array, built and ready to run."""

    def __init__(self, board, network, folder):
        quantized, self.images = network()
        self.folder = folder
        write_project(compile_network(quantized, board.config), quantized, board, folder / "build")
        self.machine = Machine(folder / "build", Manifest.read(folder / "build"))
        self.array = build(array_source(board.config), top="bare_array", closed=True)
        self.clock = build(CLOCK, top="clock_alone", closed=True)

    def run_machine(self):
        """(cycles, seconds) of the network's images, loading the memory not counted."""
        programs = ["cold"] + [self.machine.manifest.later_program] * (len(self.images) - 1)
        results = [run.result for run in self.machine.run(self.images, programs)]
        return sum(r["simulated_cycles"] for r in results), sum(r["processor_seconds"] for r in results)

    def run_cycles(self, built, cycles):
        """Seconds of so many cycles of the array, or of the clock alone."""
        work = self.folder / built.top
        environment = {bare_array.CYCLES: str(cycles)}
        built.run("benchmarks.bare_array", folder=work, environment=environment, log=self.folder / f"{built.top}.log")
        return json.loads((work / bare_array.RESULT).read_text())["seconds"]


def array_source(config):
    """Verilog of the bare array with its source of operands."""
    array = MacArray(config)
    bits = {name: Shape.cast(array.signature.members[name].shape).width for name in _PORTS}
    wrapper = Path(__file__).with_name("bare_array.sv").read_text()
    return to_verilog(array, "mac_array") + with_parameters(wrapper, {_PORTS[name]: bits[name] for name in bits})


_PORTS = {"activations": "ACTIVATIONS", "weights": "WEIGHTS", "accumulators": "ACCUMULATORS"}


def measure(name, turns):
    """Figures of one machine, as a dict for JSON."""
    board, network = machines()[name]
    seconds = {"machine": [], "array": [], "clock": []}  # for a cycle, in each turn
    with tempfile.TemporaryDirectory() as folder:
        subjects = Subjects(board, network, Path(folder))
        for _ in range(turns):
            cycles, taken = subjects.run_machine()
            seconds["machine"].append(taken / cycles)
            seconds["array"].append(subjects.run_cycles(subjects.array, cycles) / cycles)
            seconds["clock"].append(subjects.run_cycles(subjects.clock, cycles) / cycles)
    ratios = [
        (array / machine, (array - clock) / (machine - clock)) for machine, array, clock in zip(*seconds.values())
    ]
    ratio, without_clock = (round(median(values), 3) for values in zip(*ratios))
    return {
        "machine": name,
        "multipliers": board.config.multipliers,
        "cycles": cycles,
        **{f"{what}_cycles_per_second": [round(1 / each) for each in taken] for what, taken in seconds.items()},
        "ratio": ratio,
        "ratio_without_clock": without_clock,
    }


def main():
    """Measure every machine and print the figures; exit code 1 where a ratio is below TARGET."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--turns", type=int, default=3, help="runs of each")
    parser.add_argument("--machines", nargs="*", default=list(machines()), choices=list(machines()), metavar="NAME")
    arguments = parser.parse_args()
    figures = [measure(name, arguments.turns) for name in arguments.machines]
    reached = all(entry["ratio"] >= TARGET for entry in figures)
    print(json.dumps({"target": TARGET, "reached": reached, "load": load_average(), "machines": figures}, indent=2))
    sys.exit(not reached)


if __name__ == "__main__":
    main()
