"""Where a compute instruction writes."""

import numpy as np

from quantflow.emulator.scratchpads import EmulationError


def scatter(pads, instruction, rows, block, words):
    """Write [oy, og, p, lanes] to the destination, as drained: D cycles of R words."""
    config, map_ = pads.config, instruction.destination
    pixels, cycles = config.pixels, config.drain_cycles
    for og in range(instruction.output_groups):
        for cycle in range(cycles):
            written = set()
            for word, p in enumerate(range(cycle, pixels, cycles)):
                if og * pixels + p >= instruction.output_columns:
                    continue
                phase, bank, group = _position(config, instruction, og, word, cycle)
                if bank in written:
                    raise EmulationError(f"two words of drain cycle {cycle} go to bank {bank}")
                written.add(bank)
                address = map_.address + block * map_.block_stride + phase * map_.phase_stride + group
                pads.activations[bank, pads.checked(address + rows * map_.row_stride)] = words[:, og, p]


def _position(config, instruction, og, word, cycle):
    """Mixed-radix sum of the first column, `og` group steps, `word` word steps and `cycle` pixel steps."""
    phases, pixels = instruction.destination.phases, config.pixels
    steps = (
        (1, instruction.first_written), (og, instruction.group_step),
        (word, instruction.word_step), (cycle, instruction.pixel_step),
    )  # fmt: skip
    phase = sum(count * step.phase for count, step in steps)
    bank = sum(count * step.bank for count, step in steps) + phase // phases
    group = sum(count * step.group for count, step in steps) + bank // pixels
    return np.array((phase % phases, bank % pixels, group)).tolist()
