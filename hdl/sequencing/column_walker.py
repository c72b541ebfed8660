"""Column positions as running sums along a loop nest."""

from amaranth import Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import struct_layout
from hdl.sequencing.address_arithmetic import add_position, select
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
    takes over `first`, each `advance` goes to the next position, there in the next cycle.

    Ports: start In(1); first In(isa.Position); phases In(phase_bits); steps In, one isa.Position
    per stepped level; advance In(levels); position Out(position_layout).
    """

    latency = 1

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
            "phases": In(config.phase_bits),
            "steps": In(data.ArrayLayout(given, len(self.stepped))),
            "advance": In(levels),
            "position": Out(position_layout(config)),
        })

    def elaborate(self, platform):
        m = Module()
        layout = position_layout(self.config)
        first, origin, following = Signal(layout), Signal(layout), Signal(layout)
        step = Signal(self.first.shape())
        bases = [Signal(layout, name=f"base_{level}") for level in self.stepped]
        # `advance` is one-hot, so AND and OR select: the base to go on from, and what to add.
        origins, steps = [(first, self.start)], []
        for level in range(self.levels):
            outer = [base for base, own in zip(bases, self.stepped, strict=True) if own <= level]
            origins.append((outer[-1] if outer else first, self.advance[level]))
            if level in self.stepped:
                steps.append((self.steps[self.stepped.index(level)], self.advance[level]))
        total = add_position(m, origin, step, phases=self.phases, pixels=self.config.pixels, name="total")
        m.d.comb += [
            *(getattr(first, part).eq(getattr(self.first, part)) for part in ("phase", "bank", "group")),
            Value.cast(origin).eq(select(origins)),
            Value.cast(step).eq(select(steps)),
            following.eq(Mux(self.start, first, total)),
            self.position.eq(bases[-1]),
        ]
        for base, level in zip(bases, self.stepped, strict=True):
            with m.If(self.start | self.advance[: level + 1].any()):
                m.d.sync += base.eq(following)
        return m
