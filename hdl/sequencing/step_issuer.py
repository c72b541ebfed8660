"""When the array takes its steps."""

from enum import IntEnum

from amaranth import Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.sequencing.loop_nest import LoopNest

YIELD_PERIOD = 4  # one read cycle in so many is left to whoever waits for one


class ReadLevel(IntEnum):
    """The loops of a compute instruction as its operands are read, outermost first."""

    OUTPUT_BLOCK = 0
    OUTPUT_ROW = 1
    OUTPUT_GROUP = 2
    WINDOW_ROW = 3
    WINDOW_COLUMN = 4
    KERNEL_ROW = 5
    KERNEL_COLUMN = 6
    INPUT_BLOCK = 7


GROUP_LEVELS = slice(ReadLevel.KERNEL_ROW, len(ReadLevel))  # the loops over one group's steps


class StepIssuer(wiring.Component):
    """Walks the read loops at one step per cycle, held back in two cases only.

    A group's last step comes at least D = `config.drain_cycles` cycles behind the last step
    before it, and not before the D-th cycle of the instruction: so a group takes max(steps, D)
    cycles, and the drain bank is always free. While `yield_read` is set, one cycle in
    `YIELD_PERIOD` has no step.

    `start` begins a walk. `step` tells of a step in the same cycle; `valid`, with the marks
    `first` and `last` of the step's group and the one-hot `advance` towards the step behind it,
    one cycle later. Knows no addresses.

    Ports: start In(1); counts In, a number per ReadLevel; yield_read In(1); step, valid, first,
    last Out(1); advance Out(levels).
    """

    latency = 2  # from start to the first `valid`

    def __init__(self, config):
        self.config = config
        super().__init__({
            "start": In(1),
            "counts": In(data.ArrayLayout(unsigned(config.extent_bits), len(ReadLevel))),
            "yield_read": In(1),
            "step": Out(1),
            "valid": Out(1),
            "first": Out(1),
            "last": Out(1),
            "advance": Out(len(ReadLevel)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.nest = nest = LoopNest(len(ReadLevel), self.config.extent_bits)
        running, held, yielded = Signal(), Signal(), Signal()
        spacing = Signal(range(max(2, self.config.drain_cycles)))
        turn = Signal(range(YIELD_PERIOD))
        group_last = nest.last[GROUP_LEVELS].all()
        m.d.comb += [
            nest.start.eq(self.start),
            nest.counts.eq(self.counts),
            nest.step.eq(self.step),
            held.eq(group_last & (spacing != 0)),
            self.step.eq(running & ~held & ~yielded),
        ]
        m.d.sync += [
            turn.eq(turn + 1),
            yielded.eq(self.yield_read & (turn == 0)),
            self.valid.eq(self.step),
            self.first.eq(nest.first[GROUP_LEVELS].all()),
            self.last.eq(group_last),
            self.advance.eq(nest.advance),
        ]
        with m.If(self.start | (self.step & group_last)):
            m.d.sync += spacing.eq(self.config.drain_cycles - 1)
        with m.Elif(spacing != 0):
            m.d.sync += spacing.eq(spacing - 1)
        with m.If(self.start):
            m.d.sync += running.eq(1)
        with m.Elif(self.step & nest.last.all()):
            m.d.sync += running.eq(0)
        return m
