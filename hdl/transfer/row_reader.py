"""Rows of the activation banks, as a stream."""

from amaranth import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.bus.axi import request_layout


def run_layout(config):
    """A run of rows that takes so many beats."""
    return data.StructLayout({"address": config.word_address_bits, "beats": request_layout(config)["beats"].shape})


class RowReader(wiring.Component):
    """Asks the activation scratchpad for the rows of a run.

        for n in range(beats / bank_row_beats):  addresses <- address + n

    `start` takes `run`; it may only come while not `busy`. One row per cycle as long as the receiver
    agrees. `error_illegal` pulses where the beats are not those of whole rows; then the component
    wants a reset.

    Ports: run In(run_layout); start In(1); addresses Out(stream of addresses); busy, error_illegal
    Out(1).
    """

    latency = 1

    def __init__(self, config):
        self.config = config
        super().__init__({
            "run": In(run_layout(config)),
            "start": In(1),
            "addresses": Out(stream.Signature(unsigned(config.word_address_bits))),
            "busy": Out(1),
            "error_illegal": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        beats, row_beats = Signal.like(self.run.beats), self.config.bank_row_beats
        m.d.comb += [
            self.busy.eq(beats != 0),
            self.error_illegal.eq(self.busy & (beats < row_beats)),
            self.addresses.valid.eq(self.busy & ~self.error_illegal),
        ]
        with m.If(self.start):
            m.d.sync += [beats.eq(self.run.beats), self.addresses.payload.eq(self.run.address)]
        with m.Elif(self.addresses.valid & self.addresses.ready):
            m.d.sync += [beats.eq(beats - row_beats), self.addresses.payload.eq(self.addresses.payload + 1)]
        return m
