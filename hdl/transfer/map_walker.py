"""The order in which a feature map's words pass between memory and the activation scratchpad."""

from amaranth import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import struct_layout
from quantflow import isa

EXTENTS = ("rows", "columns", "blocks")


def walk_layout(config):
    """The part of a load or store instruction that says where a feature map lies."""
    return data.StructLayout({
        "map": struct_layout(isa.Map, config),
        **{name: config.extent_bits for name in EXTENTS},
    })


class MapWalker(wiring.Component):
    """Bank and address of each word of a map, in memory's order.

        for y in rows: for x in columns: for c in blocks:
            bank    = (x div S) mod P
            address = map.address + y * row_stride + c * block_stride
                      + (x mod S) * phase_stride + (x div S) div P,  modulo 2**activation_address_bits

    carried by counters and running sums: no product and no division. `start` copies `walk`, and
    the first word is there in the next cycle; each `step` goes to the next word. `last` marks the
    map's last word; what follows a step from there, or a zero among the extents, is meaningless
    but does no harm. Does not check addresses against the scratchpad's depth.

    Ports: walk In(walk_layout); start, step In(1); bank, address Out; last Out(1).
    """

    latency = 1

    def __init__(self, config):
        self.config = config
        super().__init__({
            "walk": In(walk_layout(config)),
            "start": In(1),
            "step": In(1),
            "bank": Out(config.bank_bits),
            "address": Out(config.activation_address_bits),
            "last": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        walk = Signal.like(self.walk)
        left = Signal(data.StructLayout({name: self.config.extent_bits for name in EXTENTS}))
        last_block, last_column = left.blocks == 1, left.columns == 1
        m.d.comb += self.last.eq(last_block & last_column & (left.rows == 1))
        with m.If(self.start):
            m.d.sync += walk.eq(self.walk)
            m.d.sync += [getattr(left, n).eq(getattr(self.walk, n)) for n in EXTENTS]
        with m.Elif(self.step):
            m.d.sync += left.blocks.eq(Mux(last_block, walk.blocks, left.blocks - 1))
            with m.If(last_block):
                m.d.sync += left.columns.eq(Mux(last_column, walk.columns, left.columns - 1))
                with m.If(last_column):
                    m.d.sync += left.rows.eq(left.rows - 1)
        self._place(m, walk.map, last_block, last_column)
        return m

    def _place(self, m, map_, last_block, last_column):
        """Bank and address, by carries from phase to bank to group.

        Beside the word's own address three sums are kept: that of the row's first column, that of
        the present group's phase 0, and that of the present column's block 0.
        """
        row, group, column, next_row, next_group, next_column = (
            Signal.like(self.address, name=name)
            for name in ("row", "group", "column", "next_row", "next_group", "next_column")
        )
        phase = Signal(self.config.phase_bits)
        last_phase, last_bank = phase + 1 == map_.phases, self.bank == self.config.pixels - 1
        m.d.comb += [
            next_row.eq(row + map_.row_stride),
            next_group.eq(Mux(last_column, next_row, group + (last_phase & last_bank))),
            next_column.eq(Mux(last_column | last_phase, next_group, column + map_.phase_stride)),
        ]
        with m.If(self.start):
            m.d.sync += [address.eq(self.walk.map.address) for address in (row, group, column, self.address)]
            m.d.sync += [phase.eq(0), self.bank.eq(0)]
        with m.Elif(self.step & ~last_block):
            m.d.sync += self.address.eq(self.address + map_.block_stride)
        with m.Elif(self.step):
            m.d.sync += [group.eq(next_group), column.eq(next_column), self.address.eq(next_column)]
            m.d.sync += phase.eq(Mux(last_column | last_phase, 0, phase + 1))
            with m.If(last_column):
                m.d.sync += [row.eq(next_row), self.bank.eq(0)]
            with m.Elif(last_phase):
                m.d.sync += self.bank.eq(Mux(last_bank, 0, self.bank + 1))
