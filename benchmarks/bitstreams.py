"""Bitstreams of whole networks by the open tools: post-route clock, resources, images per second.

    python -m benchmarks.bitstreams lenet5 resnet20 > bitstreams.jsonl

Without names all are made. Tunes the network by the paper's method, writes its build folder (build/bitstreams/NAME)
for the machine below, simulates two images in RTL, the second of which may find its weights on the chip, and runs
what `quantflow build` runs. Prints a JSON object on a line of its own for each: what `quantflow build --json` writes,
and of the simulation "rtl_cycles" of each image, whether they are bit-exact, and the images per second that the
second one's cycles make at the routed clock. Many minutes for each, and some gigabytes of memory.
"""

import argparse
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import boards
from benchmarks import networks
from boards.flow.build import build
from boards.project import write_project
from quantflow.compiler import compile_network
from quantflow.tuner.tune import tune
from sim.inference import simulate

FOLDER = Path("build") / "bitstreams"
SIMULATED = 2  # images: the first one's run is cold
TUNING_IMAGES = 64


@dataclass(frozen=True, kw_only=True)
class Work:
    """A network, the board and the clock asked for, and how its machine differs from the board's own."""

    network: str
    clock_mhz: float
    board: str = "ulx3s-85f"
    weight_bits: int = 8
    machine: dict = field(default_factory=dict)


# ResNet-20's weights are loaded layer by layer from block RAM, which they nearly fill: what the machine itself needs
# of it is kept small, parameters in LUTs and activations no deeper than the largest layer's.
_RESNET20 = {"port_bits": 128, "weight_depth": 512, "parameter_depth": 32, "accumulator_bits": 24}
WORKS = {
    "lenet5": Work(network="lenet5", clock_mhz=75),
    "resnet20": Work(network="resnet20", clock_mhz=75, machine=_RESNET20 | {"activation_depth": 3072}),
    "resnet20_4bit": Work(
        network="resnet20",
        clock_mhz=60,
        weight_bits=4,
        machine=_RESNET20 | {"pixels": 4, "activation_depth": 1536, "weight_bits": 4, "products_per_dsp": 2},
    ),
    "lenet5_icebreaker": Work(network="lenet5", clock_mhz=18, board="icebreaker"),
}


def write_build(name, folder):
    """Write the build folder of a work; returns images of its network."""
    work = WORKS[name]
    board = boards.find(work.board)
    case = networks.load(work.network)
    quantized = tune(case.network, case.calibration[:TUNING_IMAGES], method="paper", weight_bits=work.weight_bits)
    board = replace(board, clock_mhz=work.clock_mhz, config=replace(board.config, **work.machine))
    write_project(compile_network(quantized, board.config), quantized, board, folder)
    return case.images


def measure(name, folder, seeds):
    """Figures of a work, as a dict for JSON."""
    images = write_build(name, folder)
    simulated = simulate(folder, images, count=SIMULATED)
    figures = build(folder, seeds=seeds)
    rtl = {"rtl_cycles": simulated.image_cycles, "bit_exact": simulated.bit_exact}
    if figures["met"]:
        rtl["rtl_images_per_second"] = round(figures["clock_mhz"] * 1e6 / simulated.image_cycles[-1], 2)
    return {"name": name} | figures | rtl


def main():
    """Make the bitstreams named and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="by default all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="of the placement; the fastest is kept")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in WORKS]
    if unknown:
        parser.error(f"there is no bitstream {unknown[0]}: choose from {', '.join(WORKS)}")
    for name in options.names or WORKS:
        print(json.dumps(measure(name, FOLDER / name, options.seeds)), flush=True)


if __name__ == "__main__":
    main()
