"""The emulator's compute instruction against the literal loop nest, on random instructions."""

import numpy as np
import pytest

from quantflow.config import Config
from quantflow.emulator import Emulator
from quantflow.emulator import compute as emulated
from quantflow.isa import Compute, Map, Operation, Position
from tests.quantflow.literal import LiteralMachine

COMMON = {"port_bits": 32, "activation_depth": 1024}
CONFIGS = [
    Config(pixels=3, lanes=2, activation_bits=16, weight_bits=4, accumulator_bits=48, **COMMON),
    Config(pixels=2, lanes=4, requantizers=2, weight_bits=4, **COMMON),
    Config(pixels=1, lanes=4, activation_bits=7, weight_bits=5, **COMMON),
    Config(pixels=1, lanes=4, weight_bits=4, phase_bits=0, **COMMON),
]


class RandomInstruction:
    """Random fields, maps in corners of the scratchpad that do not meet."""

    def __init__(self, config, seed):
        self.config, self.random = config, np.random.default_rng(seed)

    def number(self, low, high):
        return int(self.random.integers(low, high + 1))

    def position(self, column, phases):
        unit, phase = divmod(column, phases)
        return Position(phase=phase, bank=unit % self.config.pixels, group=unit // self.config.pixels)

    def map(self, address, phases):
        phase_stride = 6 if self.config.phase_bits else 0
        return Map(address=address, row_stride=24, block_stride=100, phase_stride=phase_stride, phases=phases)

    def make(self, *, carried=None, **changes):
        """`carried` names the flag of an instruction whose one group shares its sums with another's."""
        n, config = self.number, self.config
        maximum = carried is None and n(0, 3) == 0
        uniform = not maximum and n(0, 3) == 0
        phases, residual_phases, target_phases = n(1, 3), n(1, 2), n(1, 2) if config.requantizers == 1 else 1
        if not config.phase_bits:
            phases = residual_phases = target_phases = 1
        group_step = 1 if config.phase_bits else n(1, 3)
        one = carried is not None
        rows, columns = (1, n(1, config.pixels)) if one else (n(1, 3), n(1, 5))
        padding, stride, dilation, column_dilation = n(0, 2), n(1, 3), n(1, 2), n(1, 2)
        pooled = not one and not maximum and n(0, 2) == 0
        window_row_step = n(1, 2) if pooled else 0
        fields = {
            "operation": Operation.MAXIMUM if maximum else Operation.CONVOLVE,
            "uniform": int(uniform),
            "source_unsigned": n(0, 1),
            "residual_unsigned": n(0, 1),
            "least": n(-(1 << (config.activation_bits - 1)), 0),
            "dropped_bits": n(0, 3) * n(0, 1),
            "source": self.map((-padding * 24) % (1 << config.activation_address_bits), phases),
            "rows": n(1, 4),
            "columns": n(1, 3),
            "columns_remainder": n(0, phases - 1),
            "first_row": -padding,
            "first": self.position(-n(0, 2), phases),
            "output_blocks": 1 if one else n(1, 2),
            "output_rows": rows,
            "output_groups": -(-columns // config.pixels),
            "output_columns": columns,
            "window_rows": 2 if pooled else 1,
            "window_columns": (phases if config.phase_bits else 2) if pooled else 1,
            "output_group_step": group_step,
            "passes": 1 if maximum else n(1, 2),
            "kernel_rows": n(1, 3),
            "kernel_columns": n(1, 3),
            "input_blocks": 1 if maximum else n(1, 2),
            "output_block_stride": 100 * n(0, 1),
            "output_row_step": stride,
            "output_row_stride": stride * 24,
            "window_row_step": window_row_step,
            "window_row_stride": window_row_step * 24,
            "window_phase_step": 1 if pooled and phases > 1 else 0,
            "window_group_step": n(1, 2) if pooled and not config.phase_bits else 0,
            "kernel_row_step": dilation,
            "kernel_row_stride": dilation * 24,
            "kernel_column_step": self.position(column_dilation, phases),
            "residual": self.map(400, residual_phases),
            "residual_passes": 0 if maximum or uniform else n(0, 2),
            "residual_aligned": n(0, 1),
            "residual_blocks": n(1, 2),
            "residual_first": self.position(n(0, 2), residual_phases),
            "residual_group_step": group_step,
            "residual_output_block_stride": 100 * n(0, 1),
            "weight_address": n(0, 9),
            "parameter_address": n(0, 9),
            "destination": self.map(700, target_phases),
            "first_written": self.position(n(0, 2), target_phases),
            "group_step": self.position(config.pixels, target_phases),
            "word_step": self.position(config.drain_cycles, target_phases),
            "pixel_step": self.position(1, target_phases),
        }
        flags = dict.fromkeys(("overlaps", "continues", "partial"), 0) | ({carried: 1} if one else {})
        return Compute(wait=0, signal=0, **fields | flags | changes)


def filled(config, seed):
    random = np.random.default_rng(seed)
    pads = Emulator(config, np.zeros(64, np.uint8), (0, 0, 0, 0))
    half = 1 << (config.activation_bits - 1)
    pads.activations[:] = random.integers(-half, half, pads.activations.shape)
    pads.weights[:] = random.integers(-3, 4, pads.weights.shape)  # so that the sums of four passes fit
    pads.bias[:] = random.integers(-999, 1000, pads.bias.shape)
    pads.shift[:] = random.integers(-3, 9, pads.shift.shape)
    pads.greatest[:] = random.integers(1, 1 << config.activation_bits, pads.greatest.shape)
    return pads


@pytest.mark.parametrize("config", CONFIGS, ids=["wide", "narrow weights", "odd widths", "one phase"])
@pytest.mark.parametrize("seed", range(60))
def test_equals_the_loop_nest(config, seed, monkeypatch):
    monkeypatch.setattr(emulated, "TAP_VALUES", 400)  # rows in several batches
    pads, make = filled(config, seed), RandomInstruction(config, seed)
    literal = LiteralMachine(pads)
    sequence = [make.make(), make.make(carried="partial"), make.make(carried="continues", partial=seed % 2)]
    for instruction in sequence:
        pads.execute(instruction)
        literal.run(instruction)
    assert pads.activations.tolist() == literal.activations
    assert pads.accumulators.tolist() == literal.accumulators
