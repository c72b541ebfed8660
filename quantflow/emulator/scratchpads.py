"""The modelled memories on chip, and what an access to them may not do."""

import numpy as np


class EmulationError(Exception):
    """An illegal access or a deadlock; the message names the instruction."""


class Scratchpads:
    """Activation banks [P, depth, lanes], weight words [depth, out, in], parameters and accumulators.

    An activation is kept as a two's-complement number of `activation_bits`; who reads it says whether
    it means an unsigned one.
    """

    def __init__(self, config):
        self.config = config
        lanes = config.lanes
        self.activations = np.zeros((config.pixels, config.activation_depth, lanes), np.int32)
        self.weights = np.zeros((config.weight_depth, lanes, lanes), np.int32)
        self.bias = np.zeros((config.parameter_depth, lanes), np.int64)
        self.shift = np.zeros((config.parameter_depth, lanes), np.int64)
        self.greatest = np.zeros((config.parameter_depth, lanes), np.int64)
        self.accumulators = np.zeros((config.pixels, lanes), np.int64)  # of an instruction that is `partial`

    def as_word(self, values):
        """The two's-complement numbers that the lowest `activation_bits` bits of integers are."""
        half = 1 << (self.config.activation_bits - 1)
        return ((values + half) & (2 * half - 1)) - half

    def as_operand(self, words, unsigned):
        """Words as the array sees them."""
        return words & ((1 << self.config.activation_bits) - 1) if unsigned else words

    def weight_range(self, start, count):
        """The slice of `count` weight words; EmulationError where they do not exist."""
        return _range("weight", start, count, self.config.weight_depth)

    def parameter_range(self, start, count):
        """The slice of `count` parameter words; EmulationError where they do not exist."""
        return _range("parameter", start, count, self.config.parameter_depth)

    def bank_rows(self, start, count):
        """The slice of `count` addresses of all banks; EmulationError where they do not exist."""
        return _range("activation", start, count, self.config.activation_depth)

    def checked(self, address, used=True):
        """Addresses modulo the address width; those `used` must lie inside the banks."""
        address = address & ((1 << self.config.activation_address_bits) - 1)
        if np.any(used & (address >= self.config.activation_depth)):
            worst = int(np.max(np.where(used, address, 0)))
            raise EmulationError(f"activation address {worst} exceeds the depth of {self.config.activation_depth}")
        return np.where(used, address, 0)


def _range(name, start, count, depth):
    if start + count > depth:
        raise EmulationError(f"{name} words [{start}, {start + count}) exceed the depth of {depth}")
    return slice(start, start + count)
