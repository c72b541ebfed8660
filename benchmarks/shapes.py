"""Networks whose cycles are measured, where any weights will do: their shapes, with random integers inside.

vgg16_conv      VGG-16's thirteen convolutions with their poolings, 224 x 224
vgg16           the same with its three fully connected layers
vgg16_svd       FC6 as 25088 x 500 and 500 x 4096, fully connected weights of 4 bits (Qiu et al., FPGA 2016)
resnet50        as the `onnx` package carries it, 224 x 224
squeezenet      likewise
vgg19           likewise
"""

import math
from pathlib import Path

import numpy as np
import onnx

from quantflow.arithmetic import Format
from quantflow.graph import Convolution, Dense, MaxPool, Network, Window
from quantflow.importer import load_network
from quantflow.quantized import REQUANTIZED, QuantizedLayer, QuantizedNetwork

VGG16 = (64, 64, "pool", 128, 128, "pool", *(256,) * 3, "pool", *(512,) * 3, "pool", *(512,) * 3, "pool")
VGG_FC = (4096, 4096, 1000)
VGG_SVD_FC = (500, 4096, 4096, 1000)
CARRIED = ("resnet50", "squeezenet", "vgg19")
LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"  # the architectures that `onnx` carries
VGGS = {
    "vgg16_conv": (VGG16, ()),
    "vgg16": (VGG16, VGG_FC),
    "vgg16_svd": (VGG16, VGG_SVD_FC),
}
NAMES = (*VGGS, *CARRIED)


def load(name):
    """The float Network of that name, one of NAMES; its weights are zeros or whatever the file has."""
    if name in CARRIED:
        return load_network(light_path(name))
    return _vgg(name, *VGGS[name])


def light_path(name):
    """The file of an architecture that `onnx` carries."""
    return LIGHT / f"light_{name}.onnx"


def with_random_integers(network, *, seed=0, weight_bits=8, dense_bits=8):
    """A QuantizedNetwork of 8-bit maps whose weights are drawn uniformly: its arithmetic, not its answers, counts.

    A sum over n products of maps with the mean square m and weights of deviation d spreads by d * sqrt(n * m), and a
    ReLU halves the mean square: so the shift that keeps the maps about as wide as they were.
    """
    random, layers = np.random.default_rng(seed), {}
    maps = Format(bits=8, fl=4)
    for layer in network.layers:
        if not isinstance(layer, Convolution | Dense):
            continue
        bits = dense_bits if isinstance(layer, Dense) else weight_bits
        half = 1 << (bits - 1)
        shape, outputs = layer.weight.shape, layer.output_shape[0]
        fl = math.floor(math.log2(half * 0.58 * math.sqrt(math.prod(shape[1:]) / 2)))
        layers[layer.name] = QuantizedLayer(
            name=layer.name,
            weight_bits=bits,
            weight=random.integers(-half, half, shape, np.int8),
            weight_fl=np.full(outputs, fl, np.int32),
            bias=np.zeros(outputs, np.int64),
            output=maps,
        )
    formats = {layer.name: maps for layer in network.layers if isinstance(layer, REQUANTIZED)}
    return QuantizedNetwork(network=network, input=maps, layers=layers, formats=formats)


def random_images(network, count=1, seed=1):
    """Integers [N, C, H, W] in the range of an 8-bit map."""
    return np.random.default_rng(seed).integers(-128, 128, (count, *network.input_shape), np.int32)


def _vgg(name, convolutions, fully_connected):
    layers, source, shape, pooled = [], "image", (3, 224, 224), 0
    for number, channels in enumerate(convolutions):
        if channels == "pool":
            pooled += 1
            window, label = Window(kernel=(2, 2), stride=(2, 2)), f"pool{pooled}"
            output = (shape[0], shape[1] // 2, shape[2] // 2)
            layers.append(MaxPool(name=label, inputs=(source,), input_shape=shape, output_shape=output, window=window))
        else:
            before = max((n for n in range(number) if convolutions[n] == "pool"), default=-1)
            label, output = f"conv{pooled + 1}_{number - before}", (channels, *shape[1:])
            layers.append(
                Convolution(
                    name=label,
                    inputs=(source,),
                    input_shape=shape,
                    output_shape=output,
                    window=Window(kernel=(3, 3), padding=(1, 1, 1, 1)),
                    relu=True,
                    **_no_weights(channels, shape[0], 3, 3),
                )
            )
        source, shape = label, output
    for number, features in enumerate(fully_connected):
        label, output = f"fc{number + 6}", (features, 1, 1)
        last = number == len(fully_connected) - 1
        weights = _no_weights(features, math.prod(shape))
        layers.append(
            Dense(name=label, inputs=(source,), input_shape=shape, output_shape=output, relu=not last, **weights)
        )
        source, shape = label, output
    return Network(name=name, input_name="image", input_shape=(3, 224, 224), layers=tuple(layers))


def _no_weights(*shape):
    """Zeros that take no memory: the integers are drawn later."""
    return {"weight": np.broadcast_to(np.float32(0), shape), "bias": np.zeros(shape[0], np.float32)}
