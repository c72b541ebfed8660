"""Programs drawn by hypothesis: networks with branches, and instructions no compiler would write."""

import math

import numpy as np
from hypothesis import strategies as st

from quantflow import integer_engine
from quantflow.compiler import compile_network
from quantflow.compiler.image import program_bytes
from quantflow.emulator import Emulator
from quantflow.errors import UserError
from quantflow.isa import Load, Region, Target
from quantflow.registers import DONE
from tests.quantflow.random_dags import grow
from tests.sim.machines import MEMORY_BYTES, PAGE

SIZES, LAYERS = ((1, 8), (5, 13), (5, 13)), (1, 6)
LONGEST_LATENCY = 200
MOST_STALLS = 200  # of 256
FILLS = len(Target)  # instructions that fill the scratchpads


class Draws:
    """What the builders ask of numpy's generators, answered by hypothesis, so that a failing program shrinks."""

    def __init__(self, draw):
        self._draw = draw

    def integers(self, low, high=None, size=None, *, endpoint=False):
        low, high = (0, low) if high is None else (low, high)
        drawn = [self._draw(st.integers(int(low), int(high) - (not endpoint))) for _ in range(size or 1)]
        return drawn[0] if size is None else np.array(drawn)

    def random(self):
        return self._draw(st.integers(0, 99)) / 100

    def choice(self, values):
        return self._draw(st.sampled_from(list(values)))


@st.composite
def memories(draw):
    """Inputs of sim/axi_memory.sv: latency, share of stalls, bandwidth, and how the stalls fall."""
    return {
        "latency": draw(st.integers(1, LONGEST_LATENCY)),
        "stalls": draw(st.sampled_from([0, 0, MOST_STALLS // 4, MOST_STALLS])),
        "bandwidth": draw(st.sampled_from([0, 0, 700])),
        "seed": draw(st.integers(0, 1000)),
    }


@st.composite
def networks(draw, config):
    """A RandomNetwork, the tuned network that it makes, and images."""
    bits = {"activation_bits": config.activation_bits, "weight_bits": config.weight_bits}
    return grow(draw(st.integers(0, 1000)), Draws(draw), SIZES, LAYERS, **bits)


class Deployed:
    """A network in a machine's memory, its regions one after the other, at pages, odd values in between.

    Raises UserError for a network that the machine cannot run or the memory not hold.
    """

    def __init__(self, config, network):
        self.config = config
        self.quantized, self.images = network.finish(), network.images(3)
        self.deployment = deployment = compile_network(self.quantized, config)
        self.sizes = [len(deployment.image), deployment.input.bytes, deployment.trace_bytes, deployment.work_bytes]
        beat = config.beat_bytes
        self.sizes = [math.ceil(size / beat) * beat for size in self.sizes]
        self.bases = [PAGE]  # nothing begins at 0
        for size in self.sizes:
            self.bases.append(self.bases[-1] + math.ceil((size + 1) / PAGE) * PAGE)
        if self.bases.pop() > MEMORY_BYTES:
            raise UserError("the network is too large for the tests' memory")

    def place(self, machine):
        noise = np.random.default_rng(len(self.deployment.image)).integers(0, 256, MEMORY_BYTES, np.uint8)
        noise[self.bases[0] :][: len(self.deployment.image)] = self.deployment.image
        machine.load(0, noise.tobytes())

    def place_input(self, machine, image):
        machine.load(self.bases[1], self.deployment.input.pack(self.images[image]).tobytes())

    def program(self, name):
        """(byte address, length) of one of the deployment's programs."""
        program = self.deployment.programs[name]
        return self.bases[0] + program.offset, program.length

    def emulator(self, machine):
        """An emulator on what the machine's memory should hold; `fill` before the first program."""
        return Emulator(self.config, machine.memory, self.bases, self.sizes)

    def fill(self, machine, emulator):
        """Make the scratchpads of both full of the same odd words, with a program in the first page."""
        program = program_bytes(filling(self.config), self.config)
        machine.load(0, program.tobytes())
        everything = [MEMORY_BYTES] * len(Region)
        result = machine.start((0, FILLS), self.bases, everything)
        assert result["status"] == DONE, result
        emulator.sizes = everything
        emulator.run(0, FILLS)
        emulator.sizes = self.sizes

    @property
    def output(self):
        """The bytes of the memory that an inference's result takes."""
        return slice(self.bases[2], self.bases[2] + self.deployment.output.bytes)

    def expected(self, image):
        """The result of the integer engine."""
        name = self.deployment.output.name
        return integer_engine.run_integers(self.quantized, self.images[image : image + 1])[name][0]


def filling(config):
    """Loads of what lies in the model's region into every word of the three scratchpads."""
    narrowest = config.weight_widths[0]
    beats = {
        Target.ACTIVATION: config.activation_depth * config.bank_row_beats,
        Target.WEIGHT: config.weight_depth * config.weight_word_beats(narrowest),
        Target.PARAMETER: config.parameter_depth * config.parameter_word_beats,
    }
    common = {"wait": 0, "signal": 0, "region": Region.MODEL, "memory_address": 0, "word_address": 0}
    width = narrowest.bit_length() - 2  # elements are 2 << width bits wide
    return [Load(target=target, width=width, beats=count, **common) for target, count in beats.items()]


def compiled(config, network):
    """The Deployed network, or None where it does not fit."""
    try:
        return Deployed(config, network)
    except UserError:
        return None
