"""Agreement of tuned networks with their float networks, beside what is to be reached.

    python -m benchmarks.agreement > agreement.json
    python -m benchmarks.agreement --networks resnet20 --bits 4 3 --methods default --granularity layer
    python -m benchmarks.agreement --steps --networks lenet5 lenet_caffe --bits 4 2

Every run tunes a network of `benchmarks/networks.py` on its calibration images and evaluates it on its test
images, with 8-bit maps, signed ones and unsigned ones (behind a ReLU; the default method's input of pixels is unsigned
always). With `--steps` the runs are not of methods but of the default method's steps, per layer unless said: "up to"
adds them one after the other, "without" leaves one out. Each run is a row of a table on stderr as soon as it is done;
at the end one JSON object follows on stdout.
"""

import argparse
import json
import sys
import time

from benchmarks import networks
from quantflow.errors import UserError
from quantflow.evaluate import evaluate
from quantflow.tuner.methods import METHODS, SIGNS, STEPS, UNSIGNED_MAPS
from quantflow.tuner.tune import tune

NETWORKS = ("lenet5", "lenet_caffe", "resnet8", "resnet20", "mobilenet")
BITS = {"lenet5": (8, 4, 3, 2), "lenet_caffe": (8, 4, 3, 2), "resnet20": (8, 4, 3, 2)}  # weight bits; others 8 and 4
MAPS = ("signed", "unsigned")
GRANULARITIES = ("layer", "channel")  # of weight fractional lengths
EITHER = ("mobilenet",)  # whose targets may be reached with unsigned maps too; the others' are of signed ones
TARGETS = {  # agreement to reach in %, by the default method: per layer, per channel
    ("resnet20", 8): (99.0, 99.3),
    ("resnet20", 4): (98.0, 98.5),
    ("resnet20", 3): (96.5, 97.2),
    ("resnet20", 2): (None, 93),
    ("resnet8", 8): (98.2, 98.5),
    ("resnet8", 4): (95.0, 95.5),
    ("mobilenet", 8): (78, 90),
    ("mobilenet", 4): (45, 55),
    ("lenet_caffe", 4): (99.9, 99.9),
    ("lenet_caffe", 2): (99.6, 99.6),
}
HEADINGS = (
    *("network", "weights", "fl per", "maps", "method"),
    *("agreement", "target", "reached", "top-1", "float top-1", "output SQNR", "tuned in"),
)


def variants(arguments):
    """Name and options of `tune` of every run for one network, width and granularity: pairs."""
    if not arguments.steps:
        return [
            (name, {"method": name, "steps": steps(name, maps)})
            for maps in arguments.maps
            for name in arguments.methods
        ]
    grown = {f"up to {STEPS[count - 1]}" if count else "no step": STEPS[:count] for count in range(len(STEPS))}
    reduced = {f"without {step}": tuple(other for other in STEPS if other != step) for step in STEPS}
    found = grown | reduced | {"default": STEPS}
    return [(name, {"method": "default", "steps": taken}) for name, taken in found.items()]


def steps(method, maps):
    """Those with which a method gives signed or unsigned maps."""
    if method == "default":
        return tuple(step for step in STEPS if maps == "unsigned" or step != UNSIGNED_MAPS)
    return SIGNS if maps == "unsigned" else ()


def runs(arguments):
    """What identifies each run, and the options of `tune`: (case, dict, dict)."""
    for name in arguments.networks:
        case = networks.load(name, arguments.data)
        for bits in arguments.bits or BITS.get(name, (8, 4)):
            for granularity in arguments.granularity:
                for method, options in variants(arguments):
                    unsigned = UNSIGNED_MAPS in options["steps"]
                    run = {"network": name, "weight_bits": bits, "granularity": granularity}
                    run |= {"unsigned": unsigned, "method": method}
                    yield case, run, options | {"per_channel": granularity == "channel", "weight_bits": bits}


def measure(case, options):
    """Tune and evaluate once: a dict for JSON."""
    start = time.perf_counter()
    quantized = tune(case.network, case.calibration, **options)
    seconds = time.perf_counter() - start
    evaluation = evaluate(quantized, case.images, case.labels).to_json()
    names = ("agreement", "fixed_top1", "float_top1", "output_sqnr_db", "images", "parameter_bytes")
    figures = {name: evaluation[name] for name in names}
    return figures | {"calibration_images": len(case.calibration), "tune_seconds": round(seconds, 2)}


def judged(run, figures):
    """The target in % and whether it is reached, None where there is none."""
    target = None
    if run["method"] == "default" and (not run["unsigned"] or run["network"] in EITHER):
        targets = TARGETS.get((run["network"], run["weight_bits"]), (None, None))
        target = targets[GRANULARITIES.index(run["granularity"])]
    # Agreement is a count over a count: a share that is the target in decimals may lie below it in binary.
    reached = None if target is None else round(100 * figures["agreement"], 6) >= target
    return {"target_percent": target, "reached": reached}


def row(run):
    """One run as the cells under HEADINGS."""
    sqnr = run["output_sqnr_db"]
    return (
        run["network"],
        f"{run['weight_bits']} bit",
        run["granularity"],
        "unsigned" if run["unsigned"] else "signed",
        run["method"],
        f"{100 * run['agreement']:.2f} %",
        "" if run["target_percent"] is None else f"{run['target_percent']} %",
        {None: "", True: "yes", False: "no"}[run["reached"]],
        f"{100 * run['fixed_top1']:.2f} %",
        f"{100 * run['float_top1']:.2f} %",
        "" if sqnr is None else f"{sqnr:.1f} dB",
        f"{run['tune_seconds']:.1f} s",
    )


def print_row(cells):
    """A row of the table as Markdown, on stderr at once."""
    print(f"| {' | '.join(cells)} |", file=sys.stderr, flush=True)


def main():
    """Measure as the command line says and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", help="folder of the networks and images, by default $QUANTFLOW_DATA")
    parser.add_argument("--networks", nargs="+", choices=networks.NAMES, default=NETWORKS)
    parser.add_argument("--bits", type=int, nargs="+", help="weight bits")
    parser.add_argument("--granularity", nargs="+", choices=GRANULARITIES)
    parser.add_argument("--maps", nargs="+", choices=MAPS, default=MAPS)
    selection = parser.add_mutually_exclusive_group()
    selection.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    selection.add_argument("--steps", action="store_true", help="the default method's steps in place of methods")
    arguments = parser.parse_args()
    arguments.granularity = arguments.granularity or (("layer",) if arguments.steps else GRANULARITIES)
    print_row(HEADINGS)
    print_row(["---"] * len(HEADINGS))
    measured = []
    try:
        for case, run, options in runs(arguments):
            figures = measure(case, options)
            measured.append(run | figures | judged(run, figures))
            print_row(row(measured[-1]))
    except UserError as error:
        sys.exit(f"error: {error}")
    print(json.dumps({"runs": measured}, indent=2))


if __name__ == "__main__":
    main()
