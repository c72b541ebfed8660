"""Tunes a network of VGG-16's shape in a process of its own: `python -m tests.quantflow.memory_worker '{...}'`.

Prints the process's peak of memory in bytes and a digest of what was chosen, as JSON.
"""

import hashlib
import json
import re
import sys
import time
from pathlib import Path

import numpy as np

from quantflow import integer_engine
from quantflow.graph import Convolution, Dense, MaxPool, Network, Window
from quantflow.tuner.tune import tune

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels, convolutions; a pooling behind each
FEATURES = (4096, 4096, 1000)


def vgg16(size=224, divisor=1):
    """VGG-16 with random weights for images of `size` x `size`, all channels but the input's divided by `divisor`."""
    random = np.random.default_rng(0)
    layers, name, shape = [], "image", (3, size, size)

    def numbers(*weight_shape):
        deviation = np.float32(np.sqrt(2 / np.prod(weight_shape[1:])))
        weight = random.standard_normal(weight_shape, np.float32) * deviation
        return {"weight": weight, "bias": random.standard_normal(weight_shape[0], np.float32) * np.float32(0.1)}

    def append(kind, output_shape, **fields):
        nonlocal name, shape
        label = f"{kind.__name__.lower()}{len(layers)}"
        layers.append(kind(name=label, inputs=(name,), input_shape=shape, output_shape=output_shape, **fields))
        name, shape = label, output_shape

    for channels, count in STAGES:
        channels //= divisor
        for _ in range(count):
            window = Window(kernel=(3, 3), padding=(1, 1, 1, 1))
            fields = numbers(channels, shape[0], 3, 3)
            append(Convolution, (channels, *shape[1:]), window=window, relu=True, **fields)
        pooling = Window(kernel=(2, 2), stride=(2, 2))
        append(MaxPool, (channels, shape[1] // 2, shape[2] // 2), window=pooling)
    for features in FEATURES:
        relu = features != FEATURES[-1]
        features //= divisor
        append(Dense, (features, 1, 1), relu=relu, **numbers(features, int(np.prod(shape))))
    return Network(name="vgg16", input_name="image", input_shape=(3, size, size), layers=tuple(layers))


def digest(tuned):
    """A digest of every choice and integer."""
    found = hashlib.sha256(repr(tuned.input).encode())
    for entry in tuned.layers.values():
        found.update(repr(entry.output).encode())
        for array in (entry.weight, entry.weight_fl, entry.bias):
            found.update(array.tobytes())
    return found.hexdigest()


def main(size, divisor, count, batch_bytes=integer_engine.BATCH_BYTES, **options):
    integer_engine.BATCH_BYTES = batch_bytes
    network = vgg16(size, divisor)
    images = np.random.default_rng(1).random((count, 3, size, size), np.float32)
    before, start = _peak(), time.perf_counter()
    tuned = tune(network, images, **options)
    seconds = time.perf_counter() - start
    print(json.dumps({"before": before, "peak": _peak(), "seconds": seconds, "digest": digest(tuned)}))


def _peak():
    """The most memory that lay in RAM so far, in bytes (resource's figure would begin at the parent process's)."""
    return int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]) << 10


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
