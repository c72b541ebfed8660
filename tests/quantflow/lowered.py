"""Lowers networks, and checks that their stages give the integer engine's integers."""

from quantflow.arithmetic import quantize
from quantflow.compiler.lowering import lower
from quantflow.compiler.widths import check_widths
from quantflow.config import Config
from quantflow.integer_engine import run_integers
from tests.quantflow.stages import mismatches


def config(lanes=4, **parameters):
    """A small machine with accumulators for everything."""
    return Config(**({"pixels": 2, "lanes": lanes, "accumulator_bits": 48, "port_bits": 32} | parameters))


def checked(quantized, images, machine):
    """(stages, maps, fold) of a network, every map being the integer engine's for these integer images.

    That the stages' widths are proved, and their sums fit, is checked as well.
    """
    stages, maps, fold = lower(quantized, machine)
    check_widths(stages, maps, machine)
    expected = run_integers(quantized, images, keep=True)
    assert quantized.network.layers[-1].name in maps
    assert mismatches(stages, maps, fold, quantized, images, machine, expected) == []
    return stages, maps, fold


def checked_graph(graph, machine, count=2):
    """As `checked`, of a RandomGraph with images of its own."""
    return checked(graph.quantized, quantize(graph.images(count), graph.quantized.input), machine)
