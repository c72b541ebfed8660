"""The machine's AXI4 read ports, ganged, and shared by its two readers."""

from amaranth import Array, Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.utils import exact_log2

from hdl.bus.axi import burst_layout, read_signature
from hdl.bus.read_port import ReadPort

FETCH, LOAD = CLIENTS = range(2)


class MemoryReader(wiring.Component):
    """Issue two clients' bursts on all AXI4 read ports and hand each its own beats, in order.

        burst {address, length}:  bases[k] + address on every port k
        beat = Cat(port 0's, port 1's, ...), as soon as all have theirs

    Up to `config.outstanding_bursts` bursts are under way at once; the next one's address never
    waits for data. Where both clients (FETCH, LOAD) offer a burst they take turns: loads neither wait
    for the whole program to be fetched, nor keep the next instruction waiting. A queue of client
    numbers tells whose the arriving beats are, so a client that does not take its beats stops the
    other one's behind them.

    While `flush` is high no burst is taken; beats of those under way are swallowed and their
    errors not reported; afterwards `idle` is high. An address once offered stays until taken.
    Never reset this component in mid-run: the memory would go on answering.

    bursts : two streams of {address, length}; beats : two streams of `beat_bits` bits; bases : bus
    address of each port's part of the memory; axi : `ports` read ports. `idle`: no burst under way.
    `beat`: pulse, a beat of all ports was taken. `error`: pulse, one of its parts was answered with
    SLVERR or DECERR. It does not check that bursts respect the 4 KB boundary.
    """

    latency = ReadPort.latency  # cycles from a burst to its address on AR, and from R to a beat

    def __init__(self, config):
        self.config = config
        super().__init__({
            "bursts": In(stream.Signature(burst_layout(config))).array(len(CLIENTS)),
            "beats": Out(stream.Signature(unsigned(config.beat_bits))).array(len(CLIENTS)),
            "bases": In(data.ArrayLayout(config.memory_address_bits, config.ports)),
            "axi": Out(read_signature(config)).array(config.ports),
            "flush": In(1),
            "idle": Out(1),
            "beat": Out(1),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        depth = self.config.outstanding_bursts
        m.submodules.owners = owners = SyncFIFO(width=exact_log2(len(CLIENTS)), depth=depth)
        ports = [ReadPort(self.config) for _ in range(self.config.ports)]
        for index, port in enumerate(ports):
            m.submodules[f"port_{index}"] = port
            m.d.comb += port.base.eq(self.bases[index])
            connect(m, port.axi, flipped(self.axi[index]))
        self._issue(m, owners, ports)
        self._answer(m, owners, ports)
        m.d.comb += self.idle.eq(~owners.r_rdy)
        return m

    def _issue(self, m, owners, ports):
        """Hand the burst of the client whose turn it is to all ports, its number to the queue."""
        room, burst = Signal(), Signal(burst_layout(self.config))
        fetches, fetched = Signal(), Signal()
        fetch, load = (self.bursts[client] for client in CLIENTS)
        m.d.comb += [
            room.eq(owners.w_rdy & Cat(port.bursts.ready for port in ports).all() & ~self.flush),
            fetches.eq(fetch.valid & ~(load.valid & fetched)),
            burst.eq(Mux(fetches, fetch.payload, load.payload)),
            fetch.ready.eq(room & fetches),
            load.ready.eq(room & ~fetches),
            owners.w_data.eq(Mux(fetches, FETCH, LOAD)),
            owners.w_en.eq(room & (fetch.valid | load.valid)),
        ]
        for port in ports:
            m.d.comb += [port.bursts.payload.eq(burst), port.bursts.valid.eq(owners.w_en)]
        with m.If(owners.w_en):
            m.d.sync += fetched.eq(fetches)

    def _answer(self, m, owners, ports):
        """Route the ports' beats to the client of the oldest burst, or to nobody."""
        ready = Array(beats.ready for beats in self.beats)
        arrived = Signal()
        parts = [port.beats.payload for port in ports]
        m.d.comb += [
            arrived.eq(Cat(port.beats.valid for port in ports).all()),
            self.beat.eq(arrived & (self.flush | ready[owners.r_data])),
            owners.r_en.eq(self.beat & parts[0].last),
            self.error.eq(self.beat & Cat(part.error for part in parts).any() & ~self.flush),
            *(port.beats.ready.eq(self.beat) for port in ports),
        ]
        for client in CLIENTS:
            beats = self.beats[client]
            m.d.comb += [
                beats.payload.eq(Cat(part.data for part in parts)),
                beats.valid.eq(arrived & (owners.r_data == client) & ~self.flush),
            ]
