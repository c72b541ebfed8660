"""Random legal compute instructions, and when a unit that is never short of them performs their steps."""

import numpy as np

from quantflow.compiler.instructions import NO_MAP, NOWHERE
from quantflow.emulator.scratchpads import EmulationError
from quantflow.isa import Compute, Map, Operation, Position

HALF = 320  # words of each bank that instructions read in a sequence; the others are written
DEPTHS = {"activation_depth": 2 * HALF, "weight_depth": 100, "parameter_depth": 12}
ROW, BLOCK = 24, 100  # strides of all maps
UNSIGNED_PARAMETERS = 6  # from this word on, greatest results are those of unsigned maps
SMALLEST_GREATEST = 20
ONE_GROUP = {"output_blocks": 1, "output_rows": 1, "output_groups": 1, "window_rows": 1, "window_columns": 1}
ONE_STEP = ONE_GROUP | {"passes": 1, "kernel_rows": 1, "kernel_columns": 1, "input_blocks": 1, "residual_passes": 0}


class RandomCompute:
    """Instructions that read in one half of the scratchpad, from word `source` on, and write in the other."""

    def __init__(self, config, rng, *, source=0):
        self.config, self.rng, self.source = config, rng, source

    def number(self, low, high):
        return int(self.rng.integers(low, high, endpoint=True))

    def chance(self, probability):
        return bool(self.rng.random() < probability)

    def position(self, column, phases):
        unit, phase = divmod(column, phases)
        return Position(phase=phase, bank=unit % self.config.pixels, group=unit // self.config.pixels)

    def phases(self, most):
        """A number of phases that the machine has."""
        return self.number(1, most) if self.config.phase_bits else 1

    def group_step(self, least, most):
        """A step in groups, where there are no phases that make a group the next one."""
        return self.number(least, most) if self.config.column_step_bits else least

    def map(self, address, phases):
        address %= 1 << self.config.activation_address_bits
        phase = self.number(6, 8) if self.config.phase_bits else 0
        return Map(address=address, row_stride=ROW, block_stride=BLOCK, phase_stride=phase, phases=phases)

    def make(self, *, wide=False, carried=False, **changes):
        """`wide`: many groups of few steps. `carried`: a group that shares its sums with another instruction's."""
        n = self.number
        maximum = not carried and self.chance(0.3)
        uniform = not maximum and self.chance(0.2)
        pooled = not maximum and not carried and self.chance(0.4)
        rows, columns = n(1, 3), n(1, 3 * self.config.pixels if wide else 5)
        if carried:
            rows, columns = 1, n(1, self.config.pixels)
        unsigned = self.chance(0.5)
        lowest = -(1 << (self.config.activation_bits - 1))
        fields = {
            "operation": Operation.MAXIMUM if maximum else Operation.CONVOLVE,
            "uniform": int(uniform),
            "least": n(0, SMALLEST_GREATEST) * n(0, 1) if unsigned else n(lowest, -1),
            "dropped_bits": n(0, 3) * n(0, 1),
            "output_blocks": n(1, 2),
            "output_rows": rows,
            "output_groups": -(-columns // self.config.pixels),
            "output_columns": columns,
            "window_rows": 2 if pooled else 1,
            "passes": 1 if maximum else n(1, 2),
            "input_blocks": 1 if maximum else n(1, 2),
            "weight_address": n(0, 15),
            "parameter_address": n(0, UNSIGNED_PARAMETERS - 2) + UNSIGNED_PARAMETERS * unsigned,
        }
        fields |= self._source(pooled, wide) | self._residual(maximum or uniform) | self._destination()
        fields |= dict.fromkeys(("overlaps", "continues", "partial"), 0) | (ONE_GROUP if carried else {})
        return Compute(wait=0, signal=0, **fields | changes)

    def _source(self, pooled, wide):
        n, phases = self.number, self.phases(3)
        padding, stride, dilation = n(0, 2), n(1, 3), n(1, 2)
        window_step = n(1, 2) if pooled else 0
        return {
            "source": self.map(self.source - padding * ROW, phases),
            "source_unsigned": n(0, 1),
            "rows": n(1, 4),
            "columns": n(1, 5),
            "columns_remainder": n(0, phases - 1),
            "first_row": -padding,
            "first": self.position(-n(0, 2), phases),
            "window_columns": (phases if self.config.phase_bits else 2) if pooled else 1,
            "kernel_rows": 1 if wide else n(1, 3),
            "kernel_columns": 1 if wide else n(1, 2),
            "output_block_stride": BLOCK * n(0, 1),
            "output_group_step": self.group_step(1, 3),
            "output_row_step": stride,
            "output_row_stride": stride * ROW,
            "window_row_step": window_step,
            "window_row_stride": window_step * ROW,
            "window_phase_step": int(pooled and phases > 1),
            "window_group_step": self.group_step(0, 2) if pooled else 0,
            "kernel_row_step": dilation,
            "kernel_row_stride": dilation * ROW,
            "kernel_column_step": self.position(n(1, 2), phases),
        }

    def _residual(self, without):
        n, phases = self.number, self.phases(2)
        if not self.config.residuals:
            numbers = ("unsigned", "aligned", "passes", "output_block_stride")
            nothing = {f"residual_{name}": 0 for name in numbers} | {"residual_blocks": 1, "residual_group_step": 1}
            return nothing | {"residual": NO_MAP, "residual_first": NOWHERE}
        return {
            "residual": self.map(self.source + n(0, 10), phases),
            "residual_unsigned": n(0, 1),
            "residual_aligned": n(0, 1),
            "residual_passes": 0 if without else n(0, 2),
            "residual_blocks": n(1, 2),
            "residual_first": self.position(n(0, 2), phases),
            "residual_group_step": self.group_step(1, 3),
            "residual_output_block_stride": BLOCK * n(0, 1),
        }

    def _destination(self):
        phases, drain = self.phases(2), self.config.drain_cycles
        several = self.config.several_pixels
        if self.config.requantizers > 1:
            phases = min(phases, drain)  # the words of a drain cycle go to different banks
        return {
            "destination": self.map(HALF - self.source, phases),
            "first_written": self.position(self.number(0, 2), phases),
            "group_step": self.position(self.config.pixels, phases),
            "word_step": self.position(drain, phases) if several else NOWHERE,
            "pixel_step": self.position(1, phases) if several else NOWHERE,
        }

    def sequence(self, emulator, count):
        """At least `count` instructions that the emulator has performed; some share their sums, some are very short."""
        done = []
        while len(done) < count:
            if self.chance(0.2):
                done += [self.performed(emulator, **ONE_STEP, output_columns=self.config.pixels) for _ in range(4)]
            carried = self.chance(0.3)
            done.append(self.performed(emulator, carried=carried, partial=int(carried), wide=self.chance(0.2)))
            while carried:
                carried = self.chance(0.4)
                done.append(self.performed(emulator, carried=True, continues=1, partial=int(carried)))
        return done

    def performed(self, emulator, **kinds):
        """One that the emulator finds no fault with."""
        while True:
            before = emulator.activations.copy(), emulator.accumulators.copy()
            instruction = self.make(overlaps=self.number(0, 1), **kinds)
            carried = instruction.partial or instruction.continues
            if carried and steps_of(instruction) < self.config.drain_cycles:
                continue
            try:
                emulator.execute(instruction)
                return instruction
            except EmulationError:  # sums too wide, or two words for one bank
                emulator.activations[:], emulator.accumulators = before


def steps_of(instruction):
    """Steps of each group."""
    kernel = instruction.kernel_rows * instruction.kernel_columns * instruction.input_blocks
    return instruction.residual_passes * instruction.residual_blocks + instruction.passes * kernel


def groups_of(instruction):
    groups = instruction.output_blocks * instruction.output_rows * instruction.output_groups
    return groups * instruction.window_rows * instruction.window_columns


def done_times(instructions, config, unit):
    """When each is done, the first being taken at 0, each other one offered in the cycle behind; `unit` has a
    ComputeUnit's facts."""
    long_ago = -unit.wait_cycles - unit.switch_cycles
    offered, last, drained, copied, times = -1, long_ago, long_ago, 0, []
    between, operation = 0, instructions[0].operation
    for instruction in instructions:
        earliest = last if instruction.overlaps else max(last, drained + unit.wait_cycles - unit.overlap_cycles)
        first = max(offered + unit.start_cycles, earliest + unit.overlap_cycles, copied)
        offered = first - 1
        steps = steps_of(instruction)
        spacing = unit.switch_cycles if instruction.operation != operation else unit.boundary_cycles
        end = first + steps - 1 if instruction.partial else max(first + steps - 1, drained + spacing)
        copied = first
        if not instruction.partial:
            copied = max(first, between)
            between = end + unit.copy_cycles[instruction.operation]
            drained = end + (groups_of(instruction) - 1) * max(steps, config.drain_cycles)
        last, operation = end if instruction.partial else drained, instruction.operation
        times.append(last + unit.done_cycles)
    return times


def fill(emulator, rng):
    """Random contents, with parameters as RandomCompute expects them."""
    config = emulator.config
    half = 1 << (config.activation_bits - 1)
    emulator.activations[:] = rng.integers(-half, half, emulator.activations.shape)
    limit = 1 << (config.weight_bits - 1)
    emulator.weights[:] = rng.integers(-limit, limit, emulator.weights.shape)
    emulator.bias[:] = rng.integers(-(1 << 13), 1 << 13, emulator.bias.shape)
    emulator.shift[:] = rng.integers(-3, 16, emulator.shift.shape)
    emulator.greatest[:] = rng.integers(SMALLEST_GREATEST, half, emulator.greatest.shape)
    high = emulator.greatest[UNSIGNED_PARAMETERS:]
    high[:] = np.where(rng.random(high.shape) < 0.5, 2 * half - 1, 2 * high)
