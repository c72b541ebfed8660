"""Concatenation, slices and paddings: by address where the layout allows it, else copied, always exact."""

from dataclasses import replace

import pytest

from tests.quantflow.lowered import checked, checked_graph, config
from tests.quantflow.networks import RandomNetwork
from tests.quantflow.quantized_graphs import RandomGraph

AROUND = (1, 1, 1, 1)


def same_format(quantized):
    """The same network, every layer's output in the input's format."""
    layers = {name: replace(entry, output=quantized.input) for name, entry in quantized.layers.items()}
    return replace(quantized, layers=layers, formats=dict.fromkeys(quantized.formats, quantized.input))


def branches(*channels):
    """Convolutions of one image, concatenated, and a convolution of all."""
    builder, names = RandomNetwork(len(channels), (3, 5, 6)), []
    for count in channels:
        builder.convolution(count, (3, 3), padding=AROUND, source="image")
        names.append(builder.last)
    builder.concat(*names[1:], source=names[0])
    return builder, names


def test_aligned_parts_of_one_format_are_written_in_place():
    builder, names = branches(4, 8, 6)
    whole = builder.last
    builder.convolution(4, (1, 1)).pool((2, 2), source=names[1])
    stages, maps, _ = checked(same_format(builder.finish()), builder.images(2), config(4))
    assert [stage.destination.map for stage in stages[:3]] == [whole] * 3 and len(stages) == 5
    assert [stage.destination.first_block for stage in stages[:3]] == [0, 1, 3]
    assert not set(names) & set(maps)
    assert (stages[-1].source.map, stages[-1].source.first_block) == (whole, 1)


def test_concatenations_within_concatenations_lie_in_one_map():
    builder, names = branches(4, 4)
    inner = builder.last
    builder.convolution(4, (1, 1)).concat(builder.last, source=inner)
    stages, maps, _ = checked(same_format(builder.finish()), builder.images(2), config(4))
    assert len(stages) == 3 and set(maps) == {"image", builder.last}


def test_parts_of_other_formats_are_rescaled():
    graph = RandomGraph(3, (3, 5, 5))
    parts = [graph.convolution("image", 4, padding=AROUND), graph.convolution("image", 8, padding=AROUND, bits=6)]
    graph.concat(*parts)
    stages, maps, _ = checked_graph(graph, config(4))
    assert parts[1] in maps and len(stages) == 2 + len(set(parts) & set(maps))


@pytest.mark.parametrize("channels", [(3, 6), (5, 4, 4), (1, 1, 1, 1, 2), (2, 9), (6, 1, 8)])
def test_parts_that_share_blocks(channels):
    builder, _ = branches(*channels)
    stages, _, _ = checked(builder.finish(), builder.images(2), config(4))
    assert any(stage.residual for stage in stages)


def test_a_part_twice_and_the_image_itself():
    builder, names = branches(4)
    builder.concat(names[0], "image", names[0], source=names[0])
    checked(same_format(builder.finish()), builder.images(2), config(4))


def test_aligned_slices_are_views():
    builder = RandomNetwork(1, (3, 8, 8)).convolution(12, (3, 3), padding=AROUND)
    builder.slice((4, 1, 2), (8, 6, 5)).pool((3, 3), (2, 2), (1, 1, 1, 1))
    stages, maps, _ = checked(builder.finish(), builder.images(2), config(4))
    view = stages[1].source
    assert len(stages) == 2 and (view.first_block, view.first_row, view.first_column) == (1, 1, 2)
    assert set(maps) == {"image", "conv1", "pool3"}


@pytest.mark.parametrize("step", [(1, 2, 1), (2, 1, 2)])
def test_convolutions_read_through_slices_and_paddings(step):
    builder = RandomNetwork(1, (3, 8, 8)).convolution(12, (3, 3), padding=AROUND)
    sizes = tuple(-(-(size - 1) // by) for size, by in zip((12, 8, 8), step, strict=True))
    builder.slice((1, 1, 1), sizes, step).pad((1, 2, 0), (0, 1, 1)).convolution(5, (2, 3), (2, 1), dilation=(1, 2))
    stages, _, _ = checked(builder.finish(), builder.images(2), config(4))
    assert len(stages) == 2


def test_others_read_a_copy():
    builder = RandomNetwork(1, (3, 8, 8)).convolution(12, (3, 3), padding=AROUND, relu=False)
    builder.slice((1, 0, 0), (6, 8, 8)).pool((2, 2)).pad((0, 1, 1), (1, 0, 0)).pool((2, 2), (1, 1))
    stages, _, _ = checked(builder.finish(), builder.images(2), config(4))
    assert [stage.layers for stage in stages] == [("conv1",), ("slice2", "pool3"), ("pad4",), ("pool5",)]


def test_the_last_layer_has_a_map_even_if_it_only_moves():
    builder = RandomNetwork(1, (6, 5, 5)).convolution(6, (1, 1)).slice((2, 0, 0), (4, 5, 5))
    stages, maps, _ = checked(builder.finish(), builder.images(2), config(4))
    assert "slice2" in maps and len(stages) == 2
