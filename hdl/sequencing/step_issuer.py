"""When the array takes its steps, and which."""

from enum import IntEnum

from amaranth import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import struct_layout
from hdl.sequencing.countdown import Countdown
from hdl.sequencing.loop_nest import LoopNest
from quantflow import isa


class ReadLevel(IntEnum):
    """The loops of a compute instruction as its source is read, outermost first."""

    OUTPUT_BLOCK = 0
    OUTPUT_ROW = 1
    OUTPUT_GROUP = 2
    WINDOW_ROW = 3
    WINDOW_COLUMN = 4
    PASS = 5
    KERNEL_ROW = 6
    KERNEL_COLUMN = 7
    INPUT_BLOCK = 8


class ResidualLevel(IntEnum):
    """The loops as the residual map is read, the outer ones those of ReadLevel."""

    OUTPUT_BLOCK = 0
    OUTPUT_ROW = 1
    OUTPUT_GROUP = 2
    WINDOW_ROW = 3
    WINDOW_COLUMN = 4
    PASS = 5
    BLOCK = 6


class StepIssuer(wiring.Component):
    """Walks the read loops of `isa.Compute` at one step per cycle: the groups, and in each of them the
    residual's steps, then the kernel's.

    Held back only where sums are drained: a group's last step comes at least D =
    `config.drain_cycles` cycles behind the last step of the group before it, so that the drain bank
    is free; `boundary_cycles` where that group belongs to the instruction before, and
    `switch_cycles`, which is no less, where that had another operation, so that its words have left
    everything that follows the write side's instruction.

    `start` begins a walk: two cycles behind the last one's `ending` at the earliest. `step`,
    `ending`, the instruction's last step, and the one-hots `advance` and `residual_advance` towards
    the step behind it, of the source's walk and the residual's, tell of a step in its own cycle. All
    else about a step comes one cycle later, with `valid`: its marks `first`, `shift` (see MacArray),
    `last` (of a group whose sums are drained), `initial` (as `last`, of the instruction's first
    group), `group_end` (as `last`, drained or not), `block_end` (with `group_end`, the last of an
    output block before another), `pass_end`; and whether it reads the `residual`. Knows no addresses.

    Ports: instruction In(isa.Compute), constant from `start` to `ending`; start In(1);
    running, step, ending, valid, first, shift, last, initial, group_end, block_end, pass_end,
    residual Out(1);
    advance Out, a bit per ReadLevel; residual_advance Out, a bit per ResidualLevel.
    """

    latency = 2  # from start to the first `valid`

    def __init__(self, config, *, boundary_cycles, switch_cycles):
        self.config = config
        self.boundary_cycles, self.switch_cycles = boundary_cycles, switch_cycles
        flags = ("running", "step", "ending", "valid", "residual")
        marks = ("first", "shift", "last", "initial", "group_end", "block_end", "pass_end")
        super().__init__({
            "instruction": In(struct_layout(isa.Compute, config)),
            "start": In(1),
            **{name: Out(1) for name in flags + marks},
            "advance": Out(len(ReadLevel)),
            "residual_advance": Out(len(ResidualLevel)),
        })

    def elaborate(self, platform):
        m = Module()
        groups, kernel, residual = self._nests(m)
        adding = Signal()  # adding: the group's steps are still the residual's
        group_last, drained, early = Signal(), Signal(), Signal()
        kernel_step, group_step = Signal(), Signal()
        adds = self.instruction.residual_passes != 0
        # Each kind of step is said in full, though one implies another: fewer gates one behind the other.
        m.d.comb += [
            group_last.eq(~adding & kernel.last.all()),
            drained.eq(~self.instruction.partial),
            early.eq(drained & self._early(m, groups, group_step)),
            group_step.eq(self.running & group_last & ~early),
            kernel_step.eq(self.running & ~adding & ~(kernel.last.all() & early)),
            self.step.eq(self.running & ~(group_last & early)),
            self.ending.eq(group_step & groups.last.all()),
            groups.step.eq(group_step),
            kernel.step.eq(kernel_step),
            residual.step.eq(self.running & adding),
            self.advance.eq(Cat(groups.advance, kernel.advance)),
            self.residual_advance.eq(Cat(groups.advance, residual.advance)),
        ]
        m.d.sync += [
            self.valid.eq(self.step),
            self.residual.eq(adding),
            self.last.eq(group_last & drained),
            self.initial.eq(group_last & drained & groups.first.all()),
            self.group_end.eq(group_last),
            self.block_end.eq(self.advance[ReadLevel.OUTPUT_BLOCK]),
            self.pass_end.eq(kernel.last[1:].all()),
        ]
        self._passes(m, adding, adds, kernel, residual)
        still = Mux(adding, ~residual.last.all(), group_last & adds)
        if not self.config.residuals:
            still = 0  # it is that anyway, but synthesis does not see it
        with m.If(self.start):
            m.d.sync += [self.running.eq(1), adding.eq(adds)]
        with m.Elif(self.step):
            m.d.sync += [self.running.eq(~self.ending), adding.eq(still)]
        return m

    def _nests(self, m):
        """Of the two inner nests one runs at a time; each begins anew behind its last step."""
        instruction, bits = self.instruction, self.config.extent_bits
        loops = {
            "groups": ("output_blocks", "output_rows", "output_groups", "window_rows", "window_columns"),
            "kernel": ("passes", "kernel_rows", "kernel_columns", "input_blocks"),
        }
        numbers = {nest: [getattr(instruction, loop) for loop in names] for nest, names in loops.items()}
        numbers["residual"] = [instruction.residual_passes - 1, instruction.residual_blocks]
        for name, highest in numbers.items():
            m.submodules[name] = nest = LoopNest(len(highest), bits)
            m.d.comb += nest.start.eq(self.start)
            m.d.comb += [nest.highest[level].eq(number) for level, number in enumerate(highest)]
            yield nest

    def _passes(self, m, adding, adds, kernel, residual):
        """The first step of a group, and those of its further passes."""
        kernel_begins, residual_begins = kernel.first[1:].all(), residual.first[1:].all()
        carries_on = adds & ~self.instruction.residual_aligned
        first = Mux(adding, residual_begins & residual.first[0], kernel_begins & kernel.first[0] & ~adds)
        m.d.sync += [
            self.first.eq(first & ~self.instruction.continues),
            self.shift.eq(
                Mux(adding, residual_begins & ~residual.first[0], kernel_begins & (carries_on | ~kernel.first[0]))
            ),
        ]

    def _early(self, m, groups, group_step):
        """Whether the drain bank is not free for the sums of a group that ended now."""
        m.submodules.spacing = spacing = Countdown(self.boundary_cycles - 1)
        m.submodules.switching = switching = Countdown(self.switch_cycles - 1)
        operation, switched = Signal.like(self.instruction.operation), Signal()
        final, drains = groups.last.all(), group_step & ~self.instruction.partial
        m.d.comb += [
            spacing.load.eq(drains),
            spacing.cycles.eq(Mux(final, self.boundary_cycles, self.config.drain_cycles) - 1),
            switching.load.eq(drains & final),
            switching.cycles.eq(self.switch_cycles - 1),
        ]
        with m.If(self.start):
            m.d.sync += [operation.eq(self.instruction.operation), switched.eq(operation != self.instruction.operation)]
        with m.Elif(spacing.load):
            m.d.sync += switched.eq(0)
        return spacing.pending | switched & switching.pending
