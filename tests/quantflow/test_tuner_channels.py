"""Which channels must be scaled alike, worked by hand."""

import numpy as np

from quantflow.graph import Activation, Add, AveragePool, MaxPool, Network, Pad, Reshape, Slice
from quantflow.tuner.channels import channel_classes
from tests.quantflow.float_graphs import FloatGraph


def parts(graph):
    """Classes as {map: list of class numbers}, and the set of those that must not be scaled."""
    classes, fixed = channel_classes(graph.network())
    assert {name: numbers.shape for name, numbers in classes.items()} == {
        name: (shape[0],) for name, shape in graph.shapes.items()
    }
    return {name: numbers.tolist() for name, numbers in classes.items()}, set(np.flatnonzero(fixed).tolist())


def apart(*classes):
    """Whether no class is in two of the lists."""
    every = [number for numbers in classes for number in set(numbers)]
    return len(every) == len(set(every))


def test_input_and_output_are_fixed_and_layers_with_weights_begin_anew():
    graph = FloatGraph(0)
    first = graph.convolution("x", channels=3, kernel=(1, 1))
    depthwise = graph.convolution(first, channels=6, kernel=(1, 1), groups=3)
    last = graph.dense(depthwise, 2)
    classes, fixed = parts(graph)
    assert apart(*classes.values()) and all(len(set(numbers)) == len(numbers) for numbers in classes.values())
    assert fixed == {*classes["x"], *classes[last]}


def test_what_passes_a_channel_on_keeps_its_class():
    graph = FloatGraph(1)
    first = name = graph.convolution("x", channels=2, kernel=(1, 1))
    names = [
        name := graph.same(Activation, name, slope=np.float32([0, 0.5])),
        name := graph.pool(MaxPool, name, (2, 2)),
        name := graph.pool(AveragePool, name, (2, 2)),
    ]
    graph.dense(name, 3)
    classes, fixed = parts(graph)
    assert all(classes[name] == classes[first] for name in names)
    assert not fixed & set(classes[first])


def test_what_is_added_is_of_one_class():
    """The sum of b and c unites them; b is a's residual sum, so that a is of it too."""
    graph = FloatGraph(2)
    one = {"channels": 3, "kernel": (1, 1)}
    a = graph.convolution("x", **one)
    b = graph.convolution(a, a, **one)
    c = graph.convolution("x", **one)
    d = graph.convolution(c, **one)
    total = graph.same(Add, b, c)
    graph.dense(graph.same(Add, total, total), 2)
    classes, fixed = parts(graph)
    assert classes[a] == classes[b] == classes[c] == classes[total]
    assert apart(classes[a], classes[d], classes["x"]) and not fixed & set(classes[a])


def test_what_is_added_to_the_input_or_the_output_is_fixed():
    graph = FloatGraph(3)
    one = {"channels": 3, "kernel": (1, 1)}
    beside = graph.convolution("x", "x", **one)
    inner = graph.convolution(beside, **one)
    late = graph.convolution(inner, **one)
    graph.convolution(inner, late, **one)
    classes, fixed = parts(graph)
    assert classes[beside] == classes["x"]
    assert fixed == {*classes["x"], *classes[late]} and apart(classes[inner], fixed)


def test_concatenation_and_slices_keep_the_order_of_channels():
    graph = FloatGraph(4)
    a, b = (graph.convolution("x", channels=count, kernel=(1, 1)) for count in (2, 4))
    both = graph.concat(a, b, a)
    cut = graph.append(Slice, (both,), (3, 6, 6), start=(1, 0, 0), step=(2, 1, 1))
    graph.dense(cut, 2)
    classes, _ = parts(graph)
    assert classes[both] == classes[a] + classes[b] + classes[a]
    assert classes[cut] == [classes[a][1], classes[b][1], classes[b][3]]


def test_padded_channels_are_of_their_own_and_other_values_than_zero_are_not_scaled():
    for value in (0.0, 0.5):
        graph = FloatGraph(5)
        first = graph.convolution("x", channels=2, kernel=(1, 1))
        padded = graph.append(Pad, (first,), (5, 6, 7), before=(1, 0, 1), after=(2, 0, 0), value=value)
        graph.dense(padded, 2)
        classes, fixed = parts(graph)
        assert classes[padded][1:3] == classes[first] and len(set(classes[padded])) == 5
        assert fixed & set(classes[padded]) == (set() if value == 0 else set(classes[padded]))


def test_what_is_reshaped_is_not_scaled():
    graph = FloatGraph(6)
    first = graph.convolution("x", channels=2, kernel=(1, 1))
    other = graph.convolution("x", channels=2, kernel=(1, 1))
    folded = graph.append(Reshape, (first,), (8, 3, 3))
    graph.dense(graph.convolution(folded, channels=2, kernel=(1, 1)), 2)
    classes, fixed = parts(graph)
    assert {*classes[first], *classes[folded]} <= fixed and not fixed & set(classes[other])


def test_a_network_of_one_layer_has_nothing_to_scale():
    graph = FloatGraph(7)
    graph.convolution("x", channels=2)
    classes, fixed = channel_classes(graph.network())
    assert fixed.all() and isinstance(graph.network(), Network) and len(classes) == 2
