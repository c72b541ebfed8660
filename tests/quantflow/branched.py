"""A small tuned network with every kind of layer that chooses a format, its integers made without the tuner."""

from dataclasses import replace

import numpy as np

from quantflow.arithmetic import Format, quantize
from quantflow.float_engine import activations
from quantflow.graph import Activation, Add, AveragePool, Concat, Convolution, Dense, MaxPool, Network, Window
from quantflow.quantized import QuantizedLayer, QuantizedNetwork

SHAPE = (2, 6, 6)
WEIGHT_FL = {"conv1": 8, "conv2": 9, "fc": 8}
IMAGE = Format(bits=8, fl=5)
OUTPUTS = {
    "conv1": Format(bits=8, fl=6, signed=False),
    "conv2": Format(bits=8, fl=5),
    "fc": Format(bits=6, fl=3),
    "leaky": Format(bits=8, fl=5),
    "sum": Format(bits=7, fl=4),
    "both": Format(bits=8, fl=5),
    "mean": Format(bits=8, fl=6),
}


def branched_network(seed=0, classes=12):
    """Convolution, one with a residual, Activation, Add, Concat, MaxPool, AveragePool, Dense."""
    random = np.random.default_rng(seed)

    def numbers(*shape):
        weight = random.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        return {"weight": weight.astype("f4"), "bias": (random.normal(size=shape[0]) / 50).astype("f4")}

    def maps(inputs, channels=4, output=None, size=6):
        output = output or (channels, size, size)
        return {"inputs": inputs, "input_shape": (channels, size, size), "output_shape": output}

    around, halves = Window(kernel=(3, 3), padding=(1, 1, 1, 1)), Window(kernel=(2, 2), stride=(2, 2))
    layers = (
        Convolution(name="conv1", window=around, relu=True, **maps(("image",), 2, (4, 6, 6)), **numbers(4, 2, 3, 3)),
        Convolution(name="conv2", window=around, **maps(("conv1", "conv1")), **numbers(4, 4, 3, 3)),
        Activation(name="leaky", slope=np.full(4, 0.25, "f4"), **maps(("conv2",))),
        Add(name="sum", relu=True, **maps(("leaky", "conv1"))),
        Concat(name="both", **maps(("sum", "conv2"), output=(8, 6, 6))),
        MaxPool(name="pool", window=halves, **maps(("both",), 8, (8, 3, 3))),
        AveragePool(name="mean", window=Window(kernel=(3, 3)), **maps(("pool",), 8, (8, 1, 1), 3)),
        Dense(name="fc", **maps(("mean",), 8, (classes, 1, 1), 1), **numbers(classes, 8)),
    )
    network = Network(name="branched", input_name="image", input_shape=SHAPE, layers=layers)
    # The biases centre the scores, so that images differ in their answers.
    typical = activations(network, branched_images(100))["mean"].mean(axis=0).ravel()
    centred = replace(layers[-1], bias=-(layers[-1].weight @ typical))
    return replace(network, layers=(*layers[:-1], centred))


def branched(seed=0, classes=12, weight_bits=8, network=None, outputs=OUTPUTS, image=IMAGE):
    """The QuantizedNetwork of `branched_network`, its weights rounded to nearest, with these formats of maps."""
    network = network or branched_network(seed, classes)
    quantized = QuantizedNetwork(
        network=network,
        input=image,
        layers={},
        formats={name: outputs[name] for name in outputs if name not in WEIGHT_FL},
    )
    for name, fl in WEIGHT_FL.items():
        layer = network[name]
        fl += weight_bits - 8
        input_fl = quantized.output_format(layer.inputs[0]).fl
        quantized.layers[name] = QuantizedLayer(
            name=name,
            weight_bits=weight_bits,
            weight=quantize(layer.weight, Format(bits=weight_bits, fl=fl)),
            weight_fl=np.full(len(layer.weight), fl, np.int32),
            bias=np.rint(np.ldexp(layer.bias.astype(np.float64), input_fl + fl)).astype(np.int64),
            output=outputs[name],
        )
    return quantized


def branched_images(count=20, seed=1):
    return np.random.default_rng(seed).normal(size=(count, *SHAPE)).astype(np.float32)
