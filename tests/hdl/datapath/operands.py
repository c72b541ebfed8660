"""Random operands of the array."""

import numpy as np

from tests.hdl.pipelines import random_integers


def random_operands(rng, config, shape):
    """What activation words mean, as signed or as unsigned ones: the ends of both ranges are frequent."""
    words = random_integers(rng, config.activation_bits, shape)
    unsigned = words & ((1 << config.activation_bits) - 1)
    return np.where(rng.random(shape) < 0.5, words, unsigned)


def extreme_operands(config):
    """The ends of both ranges, and what lies around zero."""
    half = 1 << (config.activation_bits - 1)
    return np.array([-half, 1 - half, -1, 0, 1, half - 1, half, 2 * half - 2, 2 * half - 1])
