"""Searched bit widths beside uniform ones of the same size.

    python -m benchmarks.auto_widths > auto_widths.json
    python -m benchmarks.auto_widths --networks resnet20 --bits 4 --predictions 40

Networks and images are those of `benchmarks/networks.py`, maps have 8 bits. Each network is tuned with uniform
weights, and with `--weight-bits auto` under a limit of as many bytes; both are evaluated on the test images, which
neither has seen. With `--predictions COUNT` the sensitivities are held against what the tuner really makes of
COUNT choices in which one layer, drawn at random, has another width: correlation of the ranks of the noise that is
added, and of its logarithms. A row of a table on stderr for each run, one JSON object on stdout.
"""

import argparse
import json
import sys
import time

import numpy as np

from benchmarks import networks
from benchmarks.agreement import print_row
from quantflow.bit_widths import Limits, Problem, search, tune_chosen
from quantflow.bit_widths.measurement import measure
from quantflow.bit_widths.widths import make_space
from quantflow.datasets import Dataset
from quantflow.errors import UserError
from quantflow.evaluate import evaluate
from quantflow.tuner.tune import tune

NETWORKS = ("resnet8", "resnet20", "mobilenet")
HEADINGS = ("network", "fl per", "weights", "bytes", "agreement", "top-1", "output SQNR", "seconds", "choices measured")


def figures(case, quantized):
    """What is compared, on the test images."""
    found = evaluate(quantized, case.images, case.labels)
    names = ("agreement", "fixed_top1", "float_top1", "output_sqnr_db", "parameter_bytes")
    return {name: getattr(found, name) for name in names}


def uniform_and_auto(case, bits, exchanges, options):
    """The two runs for one network: dicts for JSON."""
    start = time.perf_counter()
    uniform = figures(case, tune(case.network, case.calibration, weight_bits=bits, **options))
    yield {"weights": str(bits), "tunes": 1, "seconds": time.perf_counter() - start} | uniform
    start = time.perf_counter()
    limits = Limits(max_bytes=uniform["parameter_bytes"])
    space = make_space(case.network, activation_bits=8)
    problem = Problem.of(case.network, Dataset(images=case.calibration), space=space, limits=limits, options=options)
    found = search(problem, exchanges=exchanges)
    auto = figures(case, tune_chosen(problem, found, case.calibration))
    yield (
        {"weights": "auto", "tunes": found.tunes, "seconds": time.perf_counter() - start}
        | auto
        | {"search": found.to_json()}
    )


def predictions(case, count, options):
    """Correlations of predicted with real noise, over `count` choices with one width changed: a dict for JSON."""
    space = make_space(case.network)
    limits = Limits(max_drop=100.0)
    problem = Problem.of(case.network, Dataset(images=case.calibration), space=space, limits=limits, options=options)
    sensitivity = measure(problem, space.widest())
    base = problem.evaluate(space.widest()).output_noise
    changes = [
        (slot, bits) for slot in space.free for bits in space.candidates[slot] if bits < sensitivity.widths[slot]
    ]
    drawn = np.random.default_rng(0).permutation(len(changes))[:count]
    rows = []
    for slot, bits in (changes[index] for index in drawn):
        noise = problem.evaluate(sensitivity.widths.changed(slot, bits)).output_noise - base
        rows.append({"slot": slot, "bits": bits, "predicted": sensitivity.added[slot][bits], "real": noise})
    pairs = np.array([(row["predicted"], row["real"]) for row in rows])
    seen = pairs[(pairs > base / 10).all(axis=1)]  # smaller changes drown in the widest choice's own noise
    return {
        "correlation_of_ranks": _correlation(pairs.argsort(axis=0).argsort(axis=0)),
        "correlation_of_logarithms": _correlation(np.log(seen)),
        "in_logarithms": len(seen),
        "choices": rows,
    }


def _correlation(pairs):
    return float(np.corrcoef(pairs.T)[0, 1])


def main():
    """Measure as the command line says and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", help="folder of the networks and images, by default $QUANTFLOW_DATA")
    parser.add_argument("--networks", nargs="+", choices=networks.NAMES, default=NETWORKS)
    parser.add_argument("--bits", type=int, nargs="*", default=[4], help="uniform weight bits to compare with")
    parser.add_argument("--granularity", nargs="+", choices=("layer", "channel"), default=["layer"])
    parser.add_argument("--exchanges", type=int, default=12, help="choices tried beside the best one at last")
    parser.add_argument("--predictions", type=int, metavar="COUNT", help="real tunings to hold the predictions against")
    arguments = parser.parse_args()
    runs = []
    print_row(HEADINGS)
    print_row(["---"] * len(HEADINGS))
    try:
        for name in arguments.networks:
            case = networks.load(name, arguments.data)
            for granularity in arguments.granularity:
                options = {"per_channel": granularity == "channel"}
                for bits in arguments.bits:
                    for run in uniform_and_auto(case, bits, arguments.exchanges, options):
                        runs.append({"network": name, "granularity": granularity} | run)
                        print_row(row(runs[-1]))
                if arguments.predictions:
                    found = predictions(case, arguments.predictions, options)
                    print(name, {key: value for key, value in found.items() if key != "choices"}, file=sys.stderr)
                    runs.append({"network": name, "granularity": granularity, "predictions": found})
    except UserError as error:
        sys.exit(f"error: {error}")
    print(json.dumps({"runs": runs}, indent=2))


def row(run):
    """One run as the cells under HEADINGS."""
    shares = (f"{100 * run[name]:.2f} %" for name in ("agreement", "fixed_top1"))
    noise = f"{run['output_sqnr_db']:.1f} dB"
    size, seconds = f"{run['parameter_bytes']:,}", f"{run['seconds']:.0f} s"
    return run["network"], run["granularity"], run["weights"], size, *shares, noise, seconds, str(run["tunes"])


if __name__ == "__main__":
    main()
