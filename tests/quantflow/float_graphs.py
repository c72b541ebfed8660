"""Small float networks of every kind of layer, for the tuner."""

import numpy as np

from quantflow.graph import (
    Activation,
    Add,
    AveragePool,
    Concat,
    Convolution,
    Dense,
    MaxPool,
    Network,
    Pad,
    Reshape,
    Slice,
    Window,
)

SHAPE = (3, 6, 6)


class FloatGraph:
    """Builds a network layer by layer; each method gives the new layer's name."""

    def __init__(self, seed, input_shape=SHAPE):
        self.random = np.random.default_rng(seed)
        self.input_shape, self.layers, self.shapes = input_shape, [], {"x": input_shape}

    def append(self, kind, inputs, output_shape, **fields):
        name = f"{kind.__name__.lower()}{len(self.layers)}"
        shapes = {"input_shape": self.shapes[inputs[0]], "output_shape": output_shape}
        self.layers.append(kind(name=name, inputs=inputs, **shapes, **fields))
        self.shapes[name] = output_shape
        return name

    def numbers(self, *shape, scale=1.0):
        weight = self.random.standard_t(4, shape) * scale / np.sqrt(np.prod(shape[1:]))
        return {"weight": weight.astype("f4"), "bias": (self.random.normal(size=shape[0]) * scale / 10).astype("f4")}

    def convolution(self, *inputs, channels, kernel=(3, 3), groups=1, scale=1.0, relu=False, maximum=None, **window):
        window = Window(kernel=kernel, **window)
        depth, *size = self.shapes[inputs[0]]
        return self.append(
            Convolution, inputs, (channels, *window.output_size(*size)), window=window, groups=groups, relu=relu,
            maximum=maximum, **self.numbers(channels, depth // groups, *kernel, scale=scale),
        )  # fmt: skip

    def dense(self, source, features, **fields):
        numbers = self.numbers(features, int(np.prod(self.shapes[source])))
        return self.append(Dense, (source,), (features, 1, 1), **numbers, **fields)

    def pool(self, kind, source, kernel, relu=None, **window):
        window = Window(kernel=kernel, **window)
        channels, *size = self.shapes[source]
        fields = {} if relu is None else {"relu": relu}
        return self.append(kind, (source,), (channels, *window.output_size(*size)), window=window, **fields)

    def same(self, kind, *inputs, **fields):
        return self.append(kind, inputs, self.shapes[inputs[0]], **fields)

    def concat(self, *inputs):
        channels = sum(self.shapes[name][0] for name in inputs)
        return self.append(Concat, inputs, (channels, *self.shapes[inputs[0]][1:]))

    def network(self):
        return Network(name="graph", input_name="x", input_shape=self.input_shape, layers=tuple(self.layers))


def every_kind(seed=0, residual_scale=1.0):
    """A network with every kind of layer; maps of different size meet in additions and concatenations."""
    graph = FloatGraph(seed)
    around = {"padding": (1, 1, 1, 1)}
    first = graph.convolution("x", channels=4, relu=True, scale=residual_scale, **around)
    depthwise = graph.convolution(first, channels=8, groups=4, scale=3 / residual_scale, **around)
    prelu = graph.same(Activation, depthwise, slope=np.float32([0, 0.1, 0.25, 0.3, 1, 0.01, -0.2, 0.5]), maximum=4.0)
    wide = {"padding": (2, 2, 2, 2), "dilation": (2, 2)}
    joined = graph.convolution(prelu, first, channels=4, groups=2, relu=True, scale=2.0, **wide)
    sixth = graph.convolution(joined, first, channels=4, relu=True, maximum=1.5, **around)
    total = graph.same(Add, sixth, graph.convolution(sixth, channels=4, scale=0.1, **around), relu=True)
    mean = graph.pool(AveragePool, total, (3, 3), relu=False, stride=(1, 1), **around)
    both = graph.concat(mean, joined, graph.same(Add, first, total))
    largest = graph.pool(MaxPool, both, (2, 2), stride=(2, 2))
    taken = graph.append(Slice, (largest,), (6, 3, 3), start=(0, 0, 0), step=(2, 1, 1))
    padded = graph.append(Pad, (taken,), (7, 4, 4), before=(1, 1, 0), after=(0, 0, 1), value=0.25)
    average = graph.pool(AveragePool, padded, (2, 3))
    flat = graph.append(Reshape, (average,), (7 * 3 * 2, 1, 1))
    graph.dense(flat, 5)
    return graph.network()


def images(count=5, seed=1):
    return np.random.default_rng(seed).normal(size=(count, *SHAPE)).astype(np.float32)
