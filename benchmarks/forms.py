"""ResNet-20 in four forms, as exporters write it: tuned alike, and how far apart in agreement.

    python -m benchmarks.forms [--bits 8 4] [--methods paper default] > forms.json

"same_fl": all forms have the same fractional lengths, of weights and maps, in the order of their layers; "spread":
percentage points between the forms' highest and lowest agreement, to be at most LIMIT. Progress on stderr; prints
one JSON object.
"""

import argparse
import json
import sys

from benchmarks import networks
from quantflow.errors import UserError
from quantflow.evaluate import evaluate
from quantflow.quantized import MOVING
from quantflow.tuner.methods import METHODS
from quantflow.tuner.tune import tune

FORMS = ("resnet20", "resnet20_bn", "resnet20_convsc", "resnet20_dynamo")
LIMIT = 0.2  # percentage points


def fractional_lengths(quantized):
    """Of the input, then of each layer's output and weights, whatever the layers' names are."""
    lengths = [quantized.input.fl]
    for layer in quantized.network.layers:
        if not isinstance(layer, MOVING):
            lengths.append(quantized.output_format(layer.name).fl)
        if layer.name in quantized.layers:
            lengths += quantized.layers[layer.name].weight_fl.tolist()
    return lengths


def measure(cases, bits, method):
    """All forms by one method: a dict for JSON."""
    lengths, agreement = [], {}
    for case in cases:
        quantized = tune(case.network, case.calibration, weight_bits=bits, method=method)
        lengths.append(fractional_lengths(quantized))
        agreement[case.name] = evaluate(quantized, case.images, case.labels).agreement
    same = lengths[1:] == lengths[:-1]
    spread = round(100 * (max(agreement.values()) - min(agreement.values())), 6)
    run = {"weight_bits": bits, "method": method, "agreement": agreement, "same_fl": same, "spread": spread}
    return run | {"limit": LIMIT, "reached": same and spread <= LIMIT}


def main():
    """Measure as the command line says and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", help="folder of the networks and images, by default $QUANTFLOW_DATA")
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 4], help="weight bits")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["paper", "default"])
    arguments = parser.parse_args()
    runs = []
    try:
        cases = [networks.load(name, arguments.data) for name in FORMS]
        for bits in arguments.bits:
            for method in arguments.methods:
                runs.append(measure(cases, bits, method))
                print(*runs[-1].values(), file=sys.stderr, flush=True)
    except UserError as error:
        sys.exit(f"error: {error}")
    print(json.dumps({"runs": runs}, indent=2))


if __name__ == "__main__":
    main()
