"""The request side of loads: from instructions to memory requests and descriptors."""

from amaranth import Array, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.bus.axi import ADDRESS_BITS, request_layout
from hdl.layouts import struct_layout
from hdl.transfer.load_sink import descriptor_layout
from hdl.transfer.map_walker import EXTENTS
from hdl.transfer.weight_unpacker import weight_width_codes
from quantflow.isa import Load, Region, Target


class LoadRequester(wiring.Component):
    """Asks memory for an instruction's beats and tells the sink side what they are.

        request = {base[region] + memory_address, beats};  descriptor = what LoadSink needs

    Does not wait for the data: the next instruction's request follows as soon as the descriptor
    queue has room. Request and descriptor appear one cycle after the instruction was taken. An
    instruction with a target or region that does not exist, a weight width that the configuration
    does not have, or no beats is not taken: it holds `error_illegal` until the component is reset.

    Ports: instructions In(stream of isa.Load's layout); bases In(ArrayLayout(32, 3)); requests
    Out(stream of request_layout); descriptors Out(stream of descriptor_layout); busy,
    error_illegal Out(1).
    """

    latency = 1

    def __init__(self, config):
        self.config = config
        super().__init__({
            "instructions": In(stream.Signature(struct_layout(Load, config))),
            "bases": In(data.ArrayLayout(ADDRESS_BITS, len(Region))),
            "requests": Out(stream.Signature(request_layout(config))),
            "descriptors": Out(stream.Signature(descriptor_layout(config))),
            "busy": Out(1),
            "error_illegal": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        load, request, descriptor = self.instructions.payload, self.requests.payload, self.descriptors.payload
        legal, taken = Signal(), Signal()
        m.d.comb += [
            legal.eq(self._legal(load)),
            self.error_illegal.eq(self.instructions.valid & ~legal),
            self.busy.eq(self.requests.valid | self.descriptors.valid),
            self.instructions.ready.eq(legal & ~self.busy),
            taken.eq(self.instructions.valid & self.instructions.ready),
        ]
        for output in (self.requests, self.descriptors):
            with m.If(output.ready):
                m.d.sync += output.valid.eq(0)
        with m.If(taken):
            m.d.sync += [
                self.requests.valid.eq(1),
                request.address.eq(Array(self.bases)[load.region] + load.memory_address),
                request.beats.eq(load.beats),
                self.descriptors.valid.eq(1),
                descriptor.walk.map.eq(load.map),
                *(descriptor.walk[name].eq(load[name]) for name in EXTENTS),
                *(descriptor[name].eq(load[name]) for name in ("target", "width", "beats", "word_address")),
            ]
        return m

    def _legal(self, load):
        existing_target = (load.target < len(Target)) & (load.region < len(Region))
        existing_width = load.width.matches(*weight_width_codes(self.config))
        return existing_target & ((load.target != Target.WEIGHT) | existing_width) & (load.beats != 0)
