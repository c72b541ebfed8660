"""The request side of loads: from instructions to memory requests, and to what the sink has to know."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.bus.axi import request_layout
from hdl.layouts import struct_layout
from hdl.sequencing.address_arithmetic import select
from hdl.transfer.load_receiver import receipt_layout
from hdl.transfer.load_sink import place_layout
from hdl.transfer.weight_unpacker import weight_width_codes
from quantflow.isa import Load, Region, Target


class LoadRequester(wiring.Component):
    """Asks memory for an instruction's beats and tells the sink side what they are.

        request = {base[region] + memory_address, beats};  receipt, place = what LoadSink needs

    Does not wait for the data: an instruction is taken in every cycle as long as the three outputs'
    receivers have room. The outputs appear one cycle after the instruction was taken. An
    instruction with a target or region that does not exist, a weight width that the configuration
    does not have, or no beats is not taken: it holds `error_illegal` until the component is reset.

    Ports: instructions In(stream of isa.Load's layout); bases In, by region;
    requests Out(stream of request_layout); receipts Out(stream of receipt_layout); places Out(stream
    of place_layout); busy, error_illegal Out(1).
    """

    latency = 1

    def __init__(self, config):
        self.config = config
        super().__init__({
            "instructions": In(stream.Signature(struct_layout(Load, config))),
            "bases": In(data.ArrayLayout(config.memory_address_bits, len(Region))),
            "requests": Out(stream.Signature(request_layout(config))),
            "receipts": Out(stream.Signature(receipt_layout(config))),
            "places": Out(stream.Signature(place_layout(config))),
            "busy": Out(1),
            "error_illegal": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        load = self.instructions.payload
        base = select((self.bases[region], load.region == region) for region in Region)
        outputs = {
            self.requests: {"address": base + load.memory_address, "beats": load.beats},
            self.receipts: {name: load[name] for name in ("target", "width", "beats")},
            self.places: {name: load[name] for name in ("target", "word_address")},
        }
        legal, taken = Signal(), Signal()
        m.d.comb += [
            legal.eq(self._legal(load)),
            self.error_illegal.eq(self.instructions.valid & ~legal),
            self.busy.eq(Cat(output.valid for output in outputs).any()),
            self.instructions.ready.eq(legal & Cat(~output.valid | output.ready for output in outputs).all()),
            taken.eq(self.instructions.valid & self.instructions.ready),
        ]
        for output, members in outputs.items():
            with m.If(output.ready):
                m.d.sync += output.valid.eq(0)
            with m.If(taken):
                m.d.sync += output.valid.eq(1)
                m.d.sync += [output.payload[name].eq(value) for name, value in members.items()]
        return m

    def _legal(self, load):
        existing_target = (load.target < len(Target)) & (load.region < len(Region))
        existing_width = load.width.matches(*weight_width_codes(self.config))
        return existing_target & ((load.target != Target.WEIGHT) | existing_width) & (load.beats != 0)
