"""Seconds that tuning ResNet-20 takes, beside onnxruntime's static quantization.

    python -m benchmarks.tuning_speed [--cores 1] [--repeats 3] > tuning_speed.json

Both read the float ONNX file and 512 images in memory, and write the quantized network as ONNX with QDQ nodes:
`tune` and `export` here, `quantize_static` there (MinMax, int8 weights and maps), on the same cores, by turns in
one process. It gets its images in batches of BATCH: it takes longer with one image at a time, and no less with
larger batches. "ratio" is this tuner's time over its time, to be at most LIMITS. Prints one JSON object.
"""

import argparse
import json
import logging
import sys
import tempfile
from functools import partial
from pathlib import Path

import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from benchmarks import networks
from benchmarks.timing import by_turns, load_average, median, median_ratio, use_cores
from quantflow.errors import UserError
from quantflow.exporter import export
from quantflow.importer import load_network
from quantflow.tuner.tune import tune

BATCH = 64
LIMITS = {"paper": 1, "default": 4}  # of the ratio
GRANULARITIES = ("layer", "channel")  # of weight fractional lengths, or scales


class Batches(CalibrationDataReader):
    """The images as onnxruntime's calibration reads them."""

    def __init__(self, name, images):
        self._batches = iter([{name: images[k : k + BATCH]} for k in range(0, len(images), BATCH)])

    def get_next(self):
        return next(self._batches, None)


def tune_and_write(case, file, method, granularity):
    """From the float ONNX file to the quantized one, by this project."""
    tuned = tune(load_network(case.path), case.calibration, method=method, per_channel=granularity == "channel")
    Path(file).write_bytes(export(tuned).SerializeToString())


def quantize_and_write(case, file, granularity):
    """The same by onnxruntime."""
    quantize_static(
        case.path,
        file,
        Batches(case.network.input_name, case.calibration),
        quant_format=QuantFormat.QDQ,
        per_channel=granularity == "channel",
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
    )


def use_threads(count):
    """Have onnxruntime's calibration use `count` threads, for which it has no option: one for each core otherwise."""
    options = onnxruntime.SessionOptions

    def limited():
        made = options()
        made.intra_op_num_threads = count
        return made

    onnxruntime.SessionOptions = limited


def main():
    """Measure as the command line says and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", help="folder of the networks and images, by default $QUANTFLOW_DATA")
    parser.add_argument("--cores", type=int, help="by default all")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--methods", nargs="+", choices=LIMITS, default=list(LIMITS))
    arguments = parser.parse_args()
    cores = use_cores(arguments.cores)
    use_threads(cores)
    logging.disable(logging.WARNING)  # onnxruntime's advice to prepare the model
    try:
        case = networks.load("resnet20", arguments.data)
    except UserError as error:
        sys.exit(f"error: {error}")
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "quantized.onnx"
        for granularity in GRANULARITIES:
            subjects = {name: partial(tune_and_write, case, file, name, granularity) for name in arguments.methods}
            subjects["onnxruntime"] = partial(quantize_and_write, case, file, granularity)
            seconds = by_turns(subjects, arguments.repeats)
            for method in arguments.methods:
                ratio = median_ratio(seconds, method, "onnxruntime")
                run = {"method": method, "granularity": granularity, "seconds": median(seconds[method])}
                run |= {"onnxruntime_seconds": median(seconds["onnxruntime"]), "ratio": ratio}
                runs.append(run | {"limit": LIMITS[method], "reached": ratio <= LIMITS[method]})
                print(f"{method}, per {granularity}: {ratio:.2f} of {LIMITS[method]}", file=sys.stderr, flush=True)
    figures = {"images": len(case.calibration), "cores": cores, "load_average": load_average()}
    print(json.dumps(figures | {"repeats": arguments.repeats, "runs": runs}, indent=2))


if __name__ == "__main__":
    main()
