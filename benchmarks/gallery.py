"""The runs behind docs/gallery: a trained network on a board, up to the files that `quantflow report` makes a page of.

    python -m benchmarks.gallery lenet5 --board ulx3s-85f
    python -m benchmarks.gallery resnet20 --board pynq-z2

Tunes the network by the default method, generates its machine and simulates images on it. Leaves tune.json,
generate.json and simulate.json in build/gallery/NETWORK, beside the folders `tuned` and `build`.
"""

import argparse
from pathlib import Path

import boards
from benchmarks import networks
from quantflow import tuned_file
from quantflow.commands.console import console, write_json
from quantflow.commands.generate import generate
from quantflow.commands.simulate import simulate
from quantflow.commands.tuning import tune_and_evaluate
from quantflow.datasets import Dataset

FOLDER = Path("build") / "gallery"
IMAGES = 3  # simulated


def run(network, board, *, images=IMAGES, folder=FOLDER):
    """Leave the figures of one network on one board in its folder."""
    case, place = networks.load(network), folder / network
    place.mkdir(parents=True, exist_ok=True)
    calibration = Dataset(images=case.calibration, labels=None)
    tested = Dataset(images=case.images, labels=case.labels)
    write_json(place / "tune.json", tune_and_evaluate(case.network, calibration, tested, place / "tuned"))
    write_json(place / "generate.json", generate(tuned_file.load(place / "tuned"), board, place / "build"))
    write_json(place / "simulate.json", simulate(place / "build", case.images, images).to_json())
    console.print(f"figures in {place}", markup=False, highlight=False)


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("network", choices=networks.NAMES)
    parser.add_argument("--board", default=boards.DEFAULT)
    parser.add_argument("--images", type=int, default=IMAGES, help="images to simulate")
    run(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
