"""Whole networks on the accelerator: cycles, utilization and what bounds each layer, modelled and in RTL.

    python -m benchmarks.accelerator vgg16_conv resnet20 [--rtl] [--images 2] > accelerator.jsonl

Without names all networks are taken. Two machines: `large` is P 7, I = O 16 with two products per multiplier block
(1,792 multipliers) and 28 bytes per cycle of memory, reads and writes together, as Qiu et al. (FPGA 2016) had on
the XC7Z045; `small` is P 4, I = O 16 (1,024 multipliers) with 14 bytes per cycle. Prints a JSON object on a line of
its own for each network. Trained networks are tuned by the paper's method and run on their test images; the others
have random integers, on which cycles do not depend. With --rtl the machine's own counters are measured and every
output is compared with the integer engine; where a network's weights stay on chip the last image finds them there.
"""

import argparse
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import boards
from benchmarks import networks, shapes
from boards.project import write_project
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.cycles import MemoryTiming
from quantflow.importer import load_network
from quantflow.lenet import digits
from quantflow.manifest import Manifest, predicted_figures
from quantflow.tuner.tune import tune
from sim.inference import simulate

CLOCK_MHZ = 150  # of the published designs that images per second are compared with
TUNING_IMAGES = 64


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A configuration and the memory behind it."""

    config: Config
    memory: MemoryTiming


COMMON = {"lanes": 16, "port_bits": 64, "parameter_depth": 256}
LARGE = Machine(
    config=Config(
        pixels=7, requantizers=2, products_per_dsp=2, ports=4, activation_depth=12288, weight_depth=2048, **COMMON
    ),
    memory=MemoryTiming(latency=30, bytes_per_cycle=28),
)
SMALL = Machine(
    config=Config(pixels=4, requantizers=1, ports=2, activation_depth=4096, weight_depth=4096, **COMMON),
    memory=MemoryTiming(latency=30, bytes_per_cycle=14),
)
FILES = {  # networks without images at hand: ONNX files in the data folder
    "dscnn": "mlperf_tiny/kws_dscnn.onnx",
    "vww": "mlperf_tiny/vww_mobilenetv1_025_96.onnx",
    "autoencoder": "mlperf_tiny/ad_autoencoder.onnx",
}
TRAINED = ("lenet5", "lenet_caffe", "resnet8", "resnet20", "mobilenet")
WORKS = {
    **dict.fromkeys(("vgg16_conv", "vgg16", "vgg16_svd", "vgg19", "resnet50", "squeezenet"), LARGE),
    **dict.fromkeys((*TRAINED, *FILES), SMALL),
}


def tuned(name, count):
    """(tuned network, float images) of a work."""
    if name in TRAINED:
        case = networks.load(name)
        return tune(case.network, case.calibration[:TUNING_IMAGES], method="paper"), case.images[:count]
    random = np.random.default_rng(1)
    if name in FILES:
        network = load_network(digits.mnist_folder(None).parent / FILES[name])
        images = random.normal(size=(TUNING_IMAGES, *network.input_shape)).astype(np.float32)
        return tune(network, images, method="paper"), images[:count]
    quantized = shapes.with_random_integers(shapes.load(name), dense_bits=4 if name == "vgg16_svd" else 8)
    images = shapes.random_images(quantized.network, count) * quantized.input.scale
    return quantized, images.astype(np.float32)


def measure(name, *, rtl, count):
    """Figures of one work, as a dict for JSON."""
    machine, (quantized, images) = WORKS[name], tuned(name, count)
    deployment = compile_network(quantized, machine.config)
    board = replace(boards.find("zc706"), config=machine.config, given_memory=machine.memory)
    manifest = Manifest.of(deployment, board)
    runs = [run for run in ("cold", "warm") if run in deployment.programs]
    figures = {
        "network": name,
        "multipliers": machine.config.multipliers,
        "macs": quantized.network.macs,
        "instructions": {run: deployment.programs[run].length for run in runs},
        "modelled": {run: predicted_figures(manifest, run) for run in runs},
    }
    cycles = {run: values["cycles"] for run, values in figures["modelled"].items()}
    if rtl:
        figures["rtl"] = _simulated(deployment, quantized, board, images)
        measured = dict(zip(runs, figures["rtl"].pop("image_cycles"), strict=False))
        figures["rtl"]["cycles"] = measured
        figures["model_error"] = {run: cycles[run] / measured[run] - 1 for run in measured}
        cycles = measured
    last = cycles.get(runs[-1], min(cycles.values()))
    figures["utilization"] = quantized.network.macs / (last * machine.config.multipliers)
    figures["images_per_second"] = CLOCK_MHZ * 1e6 / last
    return figures


def _simulated(deployment, quantized, board, images):
    with tempfile.TemporaryDirectory() as folder:
        build = write_project(deployment, quantized, board, Path(folder) / "build")
        result = simulate(Path(folder) / "build", images)
    return {
        "images": result.images,
        "bit_exact": result.bit_exact,
        "image_cycles": result.image_cycles,
        "layers": [{"name": layer.name, "cycles": layer.cycles} for layer in result.layers],
        "verilog_lines": build["verilog_lines"],
        "simulated_cycles_per_second": round(result.simulated_cycles_per_second),
    }


def main():
    """Measure the works named and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="networks, by default all")
    parser.add_argument("--rtl", action="store_true", help="simulate the gateware as well: minutes for the large ones")
    parser.add_argument("--images", type=int, default=2, help="images to simulate of each network")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in WORKS]
    if unknown:
        parser.error(f"there is no network {unknown[0]}: choose from {', '.join(WORKS)}")
    for name in options.names or WORKS:
        figures = measure(name, rtl=options.rtl, count=options.images)
        print(json.dumps(figures | {"clock_mhz": CLOCK_MHZ, "config": WORKS[name].config.to_json()}), flush=True)


if __name__ == "__main__":
    main()
