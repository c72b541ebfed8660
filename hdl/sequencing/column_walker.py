"""Column positions as running sums along a loop nest."""

from amaranth import Cat, Module, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import struct_layout
from hdl.sequencing.address_arithmetic import add_position, select
from hdl.sequencing.walk_turn import walk_turn
from quantflow import isa


def position_layout(config):
    """`isa.Position` with room for the groups that a walk reaches beyond both ends of a map."""
    return data.StructLayout({
        "phase": unsigned(config.phase_bits),
        "bank": unsigned(config.bank_bits),
        "group": signed(config.extent_bits + 2),
    })


class ColumnWalker(wiring.Component):
    """The column position that a loop nest's iteration numbers and steps make.

        position = first + sum over l in stepped of i_l * steps[l]

    in the mixed radix of `isa.Position`: carries go from phase (radix `phases`) to bank (radix P)
    to group. Otherwise as `StrideGenerator`: `stepped` lists the levels that have a step, `start`
    takes over `first`, each `advance` goes to the next position, there two cycles later.

    Ports: start In(1); first In(isa.Position); highest_phase In(phase_bits); steps In, one isa.Position
    per stepped level; advance In(levels); position Out(position_layout).
    """

    latency = 2

    def __init__(self, config, levels, *, stepped):
        if list(stepped) != sorted(set(stepped)) or not set(stepped) <= set(range(levels)):
            raise ValueError(f"stepped lists levels below {levels} in rising order, not {stepped}")
        self.config = config
        self.levels = levels
        self.stepped = tuple(stepped)
        given = struct_layout(isa.Position, config)
        super().__init__({
            "start": In(1),
            "first": In(given),
            "highest_phase": In(config.phase_bits),
            "steps": In(data.ArrayLayout(given, len(self.stepped))),
            "advance": In(levels),
            "position": Out(position_layout(config)),
        })

    def elaborate(self, platform):
        m = Module()
        layout = position_layout(self.config)
        first, origin = Signal(layout), Signal(layout)
        step, excess = Signal(self.first.shape()), Signal(signed(self.config.phase_bits + 1))
        bases = [Signal(layout, name=f"base_{level}") for level in self.stepped]
        turn = walk_turn(m, self.start, self.advance, self.stepped)
        # What a step's phase lacks to a carry; behind those of the steps that of no step.
        phases = (*(given.phase for given in self.steps), 0)
        excesses = [Signal(excess.shape(), name=f"excess_{index}") for index in range(len(phases))]
        m.d.sync += [short.eq(phase - self.highest_phase - 1) for short, phase in zip(excesses, phases, strict=True)]
        total = add_position(m, origin, step, excess, pixels=self.config.pixels, name="total")
        m.d.comb += [
            *(getattr(first, part).eq(getattr(self.first, part)) for part in ("phase", "bank", "group")),
            Value.cast(origin).eq(select(zip([first, *bases], turn.origin, strict=True))),
            Value.cast(step).eq(select(zip(self.steps, turn.step, strict=True))),
            excess.eq(select(zip(excesses, Cat(turn.step, ~turn.step.any()), strict=True))),
            self.position.eq(bases[-1]),
        ]
        for base, changes in zip(bases, turn.changes, strict=True):
            with m.If(changes):
                m.d.sync += base.eq(total)
        return m
