"""A small network for the tests of sizing, and boards with less room than real ones."""

from dataclasses import replace

import boards
from tests.quantflow.networks import RandomNetwork


def network(channels=12, size=10):
    """Three convolutions, the second with a stride."""
    made = RandomNetwork(1, (3, size, size)).convolution(channels, (3, 3), padding=(1, 1, 1, 1))
    return made.convolution(2 * channels, (3, 3), stride=(2, 2)).convolution(10, (1, 1)).finish()


def with_room(name, **resources):
    """A known board with fewer resources."""
    board = boards.find(name)
    return replace(board, part=replace(board.part, resources=replace(board.resources, **resources)))
