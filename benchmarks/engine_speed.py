"""Images per second of the integer engine, beside the float engine and onnxruntime on the float network.

    python -m benchmarks.engine_speed [--cores 1] [--repeats 5] > engine_speed.json

All three compute the same images in the same batches on the same cores, by turns in one process. "ratio" is the
integer engine's speed over the float engine's, to be at least TARGET. Networks are tuned to 8 bits, one fractional
length per layer, on 64 images by the paper's method. Prints one JSON object.
"""

import argparse
import json
import sys

import onnxruntime

from benchmarks import networks
from benchmarks.timing import by_turns, load_average, median, median_ratio, use_cores
from quantflow import float_engine, integer_engine
from quantflow.errors import UserError
from quantflow.tuner.tune import tune

NETWORKS = ("lenet_caffe", "resnet8", "resnet20", "mobilenet")
TARGET = 0.5
TUNING_IMAGES = 64


def subjects(case, images, batch, cores):
    """What is timed: functions that compute all images, by name."""
    quantized = tune(case.network, case.calibration[:TUNING_IMAGES], method="paper")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores
    # Its threads would otherwise keep the cores busy during the others' turns.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(case.path, options, providers=["CPUExecutionProvider"])
    engines = {
        "integer": lambda x: integer_engine.run(quantized, x, keep=False),
        "float": lambda x: float_engine.run(case.network, x, batch=batch),
        "onnxruntime": lambda x: session.run(None, {case.network.input_name: x}),
    }
    batches = [images[start : start + batch] for start in range(0, len(images), batch)]
    return {name: lambda engine=engine: list(map(engine, batches)) for name, engine in engines.items()}


def main():
    """Measure as the command line says and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", help="folder of the networks and images, by default $QUANTFLOW_DATA")
    parser.add_argument("--networks", nargs="+", choices=networks.NAMES, default=NETWORKS)
    parser.add_argument("--cores", type=int, help="by default all")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    cores = use_cores(arguments.cores)
    runs = []
    for name in arguments.networks:
        try:
            case = networks.load(name, arguments.data)
        except UserError as error:
            sys.exit(f"error: {error}")
        images = case.images[: arguments.images]
        seconds = by_turns(subjects(case, images, arguments.batch, cores), arguments.repeats)
        run = {f"{engine}_images_per_second": len(images) / median(times) for engine, times in seconds.items()}
        ratio = median_ratio(seconds, "float", "integer")
        runs.append({"network": name, "images": len(images), **run, "ratio": ratio, "reached": ratio >= TARGET})
        speeds = ", ".join(f"{engine} {run[f'{engine}_images_per_second']:.0f}" for engine in seconds)
        print(f"{name}: {speeds} images/s; integer {ratio:.2f} of float", file=sys.stderr, flush=True)
    figures = {"cores": cores, "load_average": load_average(), "batch": arguments.batch, "target": TARGET}
    print(json.dumps(figures | {"repeats": arguments.repeats, "runs": runs}, indent=2))


if __name__ == "__main__":
    main()
