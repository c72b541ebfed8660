"""Cycles of the embedded LeNet-5 on machines of 64 and 128 multipliers, measured on the RTL.

    python -m benchmarks.lenet_cycles [--images 3] > lenet_cycles.json

The memory model has a 64-bit port, 10 cycles of latency and 6.4 bytes per cycle. The
first image is cold: every weight is read from memory. The second finds the weights on chip. Prints
one JSON object: for each machine the cycles of both, the cycle model's estimate, the utilization
(MACs / (cycles x multipliers)), the lines of Verilog, and whether every output was bit-exact.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import boards
from boards.project import write_project
from quantflow import lenet
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.cycles import MemoryTiming
from quantflow.importer import load_network
from quantflow.manifest import Manifest
from quantflow.tuner.tune import tune
from sim.inference import simulate

MEMORY = MemoryTiming(latency=10, bytes_per_cycle=6.4)
MACHINES = {64: Config(pixels=1, lanes=8), 128: Config(pixels=2, lanes=8)}


def measure(config, quantized, images):
    """Figures of one machine, as a dict for JSON."""
    board = replace(boards.find(boards.DEFAULT), config=config, memory=MEMORY)
    with tempfile.TemporaryDirectory() as folder:
        build = write_project(compile_network(quantized, config), quantized, board, Path(folder) / "build")
        programs = Manifest.read(Path(folder) / "build").programs
        result = simulate(Path(folder) / "build", images)
    figures = {"multipliers": config.multipliers, "macs": result.macs, "bit_exact": result.bit_exact}
    figures |= {"images": result.images, "verilog_lines": build["verilog_lines"]}
    for name, cycles in zip(("cold", "warm"), result.image_cycles, strict=False):
        figures[name] = {
            "cycles": cycles,
            "estimated_cycles": programs[name].estimated_cycles,
            "utilization": result.macs / (cycles * config.multipliers),
        }
    return figures | {"simulated_cycles_per_second": round(result.simulated_cycles_per_second)}


def main():
    """Measure every machine and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=3, help="digits to simulate on each machine, at least 2")
    count = parser.parse_args().images
    (calibration, _), (x, _) = lenet.demo_images()
    quantized = tune(load_network(lenet.model_path()), calibration)
    figures = [measure(config, quantized, x[:count]) for config in MACHINES.values()]
    print(json.dumps({"network": "LeNet-5", "machines": figures}, indent=2))


if __name__ == "__main__":
    main()
