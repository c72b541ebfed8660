"""The machine's AXI4 write ports, ganged."""

from amaranth import Cat, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.bus.axi import burst_layout, write_signature
from hdl.bus.write_port import WritePort


class MemoryWriter(wiring.Component):
    """Issue bursts on all AXI4 write ports, fill them with beats in order, count the answers.

        burst {address, length}:  bases[k] + address on every port k
        port k's part of a beat = beat[k * port_bits : (k + 1) * port_bits]

    Up to `config.outstanding_bursts` bursts are unanswered at once. A burst's address is offered
    as soon as it is known, its data follow one beat per cycle.

    While `flush` is high no burst and no beat is taken; bursts already taken are completed with
    beats that write nothing (no byte strobes), their answers are swallowed and errors not
    reported; afterwards `idle` is high. What was offered stays until taken. Never reset this
    component in mid-run: the memory would wait for the rest.

    bursts : stream of {address, length}; beats : stream of `beat_bits` bits; bases : bus address of
    each port's part of the memory; axi : `ports` write ports. `idle`: every burst taken has been
    answered on all ports. `beat`: pulse, a beat was taken. `error`: pulse, a port was answered with
    SLVERR or DECERR. It does not check that bursts respect the 4 KB boundary.
    """

    latency = WritePort.latency  # cycles from a burst to AW, and from a beat to W

    def __init__(self, config):
        self.config = config
        super().__init__({
            "bursts": In(stream.Signature(burst_layout(config))),
            "beats": In(stream.Signature(unsigned(config.beat_bits))),
            "bases": In(data.ArrayLayout(config.memory_address_bits, config.ports)),
            "axi": Out(write_signature(config)).array(config.ports),
            "flush": In(1),
            "idle": Out(1),
            "beat": Out(1),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        ports = [WritePort(self.config) for _ in range(self.config.ports)]
        for index, port in enumerate(ports):
            m.submodules[f"port_{index}"] = port
            m.d.comb += port.base.eq(self.bases[index])
            connect(m, port.axi, flipped(self.axi[index]))
        length_bits = len(self.bursts.payload.length)
        m.submodules.lengths = lengths = SyncFIFO(width=length_bits, depth=self.config.outstanding_bursts)
        m.d.comb += [
            self.bursts.ready.eq(lengths.w_rdy & Cat(port.bursts.ready for port in ports).all() & ~self.flush),
            lengths.w_en.eq(self.bursts.valid & self.bursts.ready),
            lengths.w_data.eq(self.bursts.payload.length),
            self.idle.eq(Cat(port.idle for port in ports).all()),
            self.error.eq(Cat(port.error for port in ports).any() & ~self.flush),
        ]
        for port in ports:
            m.d.comb += [port.bursts.payload.eq(self.bursts.payload), port.bursts.valid.eq(lengths.w_en)]
        self._fill(m, lengths, ports)
        return m

    def _fill(self, m, lengths, ports):
        """Hand a beat, or while flushing an empty one, to all ports."""
        position = Signal(lengths.width)
        room, taken, last = Signal(), Signal(), Signal()
        m.d.comb += [
            room.eq(lengths.r_rdy & Cat(port.beats.ready for port in ports).all()),
            self.beats.ready.eq(room & ~self.flush),
            self.beat.eq(self.beats.valid & self.beats.ready),
            taken.eq(room & (self.beats.valid | self.flush)),
            last.eq(position == lengths.r_data),
            lengths.r_en.eq(taken & last),
        ]
        for index, port in enumerate(ports):
            beat = port.beats.payload
            m.d.comb += [
                beat.data.eq(self.beats.payload.word_select(index, self.config.port_bits)),
                beat.enabled.eq(~self.flush),
                beat.last.eq(last),
                port.beats.valid.eq(taken),
            ]
        with m.If(taken):
            m.d.sync += position.eq(position + 1)
            with m.If(last):
                m.d.sync += position.eq(0)
