"""The pictures of docs/gallery: a network on a board, from tuning to the report, each of whose plots becomes a file.

    python -m benchmarks.gallery lenet5 --board ulx3s-85f --bitstream
    python -m benchmarks.gallery resnet20 --board pynq-z2

Tunes the network by the default method, generates its machine, simulates images on it and, with --bitstream, runs
synthesis and place and route. Folders and the report lie in build/gallery/NETWORK-BOARD, pictures in docs/gallery as
NETWORK_PLOT.svg.
"""

import argparse
from pathlib import Path

import boards
from benchmarks import networks
from boards.flow.build import build as build_bitstream
from quantflow import tuned_file
from quantflow.commands.console import console
from quantflow.commands.generate import generate
from quantflow.commands.report import write_pictures, write_report
from quantflow.commands.simulate import simulate
from quantflow.commands.tuning import tune_and_evaluate
from quantflow.datasets import Dataset
from quantflow.report import drawings

TITLES = {"lenet5": "LeNet-5", "resnet20": "ResNet-20"}
FOLDER, GALLERY = Path("build") / "gallery", Path("docs") / "gallery"
IMAGES = 3  # simulated


def run(network, board, *, images=IMAGES, bitstream=False, folder=FOLDER, gallery=GALLERY, plots=None):
    """Make the pictures of one network on one board; `plots` names those that are kept, by default all."""
    case, place = networks.load(network), folder / f"{network}-{board}"
    place.mkdir(parents=True, exist_ok=True)
    calibration = Dataset(images=case.calibration, labels=None)
    tested = Dataset(images=case.images, labels=case.labels)
    tuning = tune_and_evaluate(case.network, calibration, tested, place / "tuned")
    figures = {
        "tuning": tuning,
        "build": generate(tuned_file.load(place / "tuned"), board, place / "build"),
        "simulation": simulate(place / "build", case.images, images).to_json(),
        "routed": build_bitstream(place / "build") if bitstream else None,
    }
    write_report(place / "report.html", TITLES.get(network, network), figures)
    drawn = drawings(**figures)
    write_pictures(gallery, {f"{network}_{name}": drawn[name] for name in plots or drawn})
    console.print(f"report: {place / 'report.html'}, pictures: {gallery}", markup=False, highlight=False)


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("network", choices=networks.NAMES)
    parser.add_argument("--board", default=boards.DEFAULT)
    parser.add_argument("--images", type=int, default=IMAGES, help="images to simulate")
    parser.add_argument("--bitstream", action="store_true", help="place and route, which takes minutes")
    parser.add_argument("--plots", nargs="+", help="names of the plots to keep; by default all")
    run(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
