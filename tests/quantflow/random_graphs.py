"""Random graphs of the layers that the machine computes."""

import numpy as np

from tests.quantflow.quantized_graphs import RandomGraph


class Wanderer:
    """Appends layers of random kinds and shapes to a RandomGraph, each reading the newest map or an older one."""

    def __init__(self, seed):
        self.random = random = np.random.default_rng(seed)
        shape = tuple(int(random.integers(low, high)) for low, high in ((1, 11), (6, 12), (6, 12)))
        self.graph = RandomGraph(
            seed,
            shape,
            bits=int(random.choice([4, 6, 8, 8])),
            weight_bits=int(random.choice([3, 6, 8, 8])),
            signed=bool(random.random() < 0.6),
        )
        self.names = ["image"]
        for _ in range(int(random.integers(3, 9))):
            kind = getattr(self, "_" + str(random.choice(KINDS)))
            name = kind(self.names[-1] if random.random() < 0.6 else str(random.choice(self.names)))
            self.names += [name] if name else []
        self.graph.dense(self.names[-1], 5)

    def _pair(self, low, high):
        return tuple(int(n) for n in self.random.integers(low, high, 2))

    def _flag(self):
        return bool(self.random.random() < 0.5)

    def _like(self, extent):
        """A map whose last extents are `extent`."""
        return str(self.random.choice([n for n in self.names if self.graph.shape(n)[-len(extent) :] == extent]))

    def _padding(self, source):
        """At most 1, and none where a window has but one row or column."""
        wide = [size > 1 for size in self.graph.shape(source)[1:]] * 2
        return tuple(int(n) * more for n, more in zip(self.random.integers(0, 2, 4), wide, strict=True))

    def _convolution(self, source, groups=1):
        kernel, stride, dilation, padding = self._pair(1, 4), self._pair(1, 3), self._pair(1, 3), self._padding(source)
        sizes = self.graph.shape(source)[1:]
        spans = [(taps - 1) * step + 1 for taps, step in zip(kernel, dilation, strict=True)]
        if any(
            size + padding[n] + padding[n + 2] < span for n, (size, span) in enumerate(zip(sizes, spans, strict=True))
        ):
            return None
        outputs = groups * int(self.random.integers(1, 4)) if groups > 1 else int(self.random.integers(1, 14))
        return self.graph.convolution(
            source, outputs, kernel, groups=groups, padding=padding, stride=stride, dilation=dilation,
            relu=self._flag(), share=0.7 if self._flag() else None, per_channel=self._flag(),
        )  # fmt: skip

    def _grouped(self, source):
        channels = self.graph.shape(source)[0]
        return self._convolution(
            source, int(self.random.choice([n for n in range(1, channels + 1) if channels % n == 0]))
        )

    def _residual(self, source):
        other = self._like(self.graph.shape(source)[1:])
        return self.graph.convolution(
            source, self.graph.shape(other)[0], (3, 3), padding=(1, 1, 1, 1), residual=other, per_channel=self._flag()
        )

    def _add(self, source):
        return self.graph.add(source, self._like(self.graph.shape(source)), relu=self._flag())

    def _concat(self, source):
        others = [self._like(self.graph.shape(source)[1:]) for _ in range(int(self.random.integers(1, 4)))]
        return self.graph.concat(source, *others)

    def _window(self, source):
        kernel = tuple(min(n, size) for n, size in zip(self._pair(2, 4), self.graph.shape(source)[1:], strict=True))
        return kernel, {"stride": self._pair(1, 3), "padding": self._padding(source)}

    def _average(self, source):
        kernel, window = self._window(source)
        bits = 3 if self._flag() else None  # so coarse that there are ties
        return self.graph.average(
            source, kernel, count_include_pad=self._flag(), relu=self._flag(), bits=bits, **window
        )

    def _maximum(self, source):
        kernel, window = self._window(source)
        return self.graph.pool(source, kernel, **window)

    def _slice(self, source):
        shape, step = self.graph.shape(source), tuple(int(n) for n in self.random.integers(1, 3, 3))
        start = tuple(int(self.random.integers(0, 2)) if size > 2 else 0 for size in shape)
        sizes = (-(-(size - first) // by) for size, first, by in zip(shape, start, step, strict=True))
        return self.graph.cut(source, start, tuple(sizes), step)

    def _pad(self, source):
        before, after = (tuple(int(n) for n in self.random.integers(0, 3, 3)) for _ in range(2))
        return self.graph.pad(source, before, after)

    def _activation(self, source):
        maximum = 0.6 * float(self.graph.bound(source)) if self._flag() else None
        return self.graph.activation(source, float(self._flag()), maximum=maximum)


KINDS = [
    "convolution", "convolution", "grouped", "residual", "add", "concat", "concat", "average", "maximum", "slice",
    "pad", "activation",
]  # fmt: skip
