"""The machine's AXI4 read port, shared by its two readers."""

from amaranth import Array, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.bus.axi import ERROR_BIT, address_constants, burst_layout, read_signature

FETCH, LOAD = CLIENTS = range(2)


class MemoryReader(wiring.Component):
    """Issue two clients' bursts on one AXI4 read port and hand each its own beats, in order.

    Up to `config.outstanding_bursts` bursts are under way at once; the next one's address never
    waits for data. Where both clients (FETCH, LOAD) offer a burst they take turns: loads neither wait
    for the whole program to be fetched, nor keep the next instruction waiting. A queue of client
    numbers tells whose the arriving beats are, so a client that does not take its beats stops the
    other one's behind them.

    While `flush` is high no burst is taken; beats of those under way are swallowed and their
    errors not reported; afterwards `idle` is high. An address once offered stays until taken.
    Never reset this component in mid-run: the memory would go on answering.

    bursts : two streams of {address, length}; beats : two streams of `port_bits` bits, answered
    combinationally from the R channel. `idle`: no burst under way. `error`: pulse, the memory
    answered with SLVERR or DECERR. It does not check that bursts respect the 4 KB boundary.
    """

    latency = 1  # cycles from a burst to its address on AR; beats take none

    def __init__(self, config):
        self.config = config
        super().__init__({
            "bursts": In(stream.Signature(burst_layout(config))).array(len(CLIENTS)),
            "beats": Out(stream.Signature(unsigned(config.port_bits))).array(len(CLIENTS)),
            "axi": Out(read_signature(config)),
            "flush": In(1),
            "idle": Out(1),
            "error": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        depth = self.config.outstanding_bursts
        m.submodules.owners = owners = SyncFIFO(width=exact_log2(len(CLIENTS)), depth=depth)
        self._issue(m, owners)
        self._answer(m, owners)
        m.d.comb += self.idle.eq(~owners.r_rdy)
        return m

    def _issue(self, m, owners):
        """Move the burst of the client whose turn it is to AR's register, its number to the queue."""
        axi = self.axi
        room, burst = Signal(), Signal(burst_layout(self.config))
        fetches, fetched = Signal(), Signal()
        fetch, load = (self.bursts[client] for client in CLIENTS)
        m.d.comb += [
            *address_constants(axi, "ar", self.config),
            room.eq(owners.w_rdy & (~axi.arvalid | axi.arready) & ~self.flush),
            fetches.eq(fetch.valid & ~(load.valid & fetched)),
            burst.eq(Mux(fetches, fetch.payload, load.payload)),
            fetch.ready.eq(room & fetches),
            load.ready.eq(room & ~fetches),
            owners.w_data.eq(Mux(fetches, FETCH, LOAD)),
            owners.w_en.eq(room & (fetch.valid | load.valid)),
        ]
        with m.If(axi.arready):
            m.d.sync += axi.arvalid.eq(0)
        with m.If(owners.w_en):
            m.d.sync += [
                axi.araddr.eq(burst.address),
                axi.arlen.eq(burst.length),
                axi.arvalid.eq(1),
                fetched.eq(fetches),
            ]

    def _answer(self, m, owners):
        """Route R to the client of the oldest burst, or to nobody."""
        axi = self.axi
        ready = Array(beats.ready for beats in self.beats)
        taken = Signal()
        m.d.comb += [
            axi.rready.eq(owners.r_rdy & (self.flush | ready[owners.r_data])),
            taken.eq(axi.rvalid & axi.rready),
            owners.r_en.eq(taken & axi.rlast),
            self.error.eq(taken & axi.rresp[ERROR_BIT] & ~self.flush),
        ]
        for client in CLIENTS:
            beats = self.beats[client]
            offered = axi.rvalid & owners.r_rdy & (owners.r_data == client) & ~self.flush
            m.d.comb += [beats.payload.eq(axi.rdata), beats.valid.eq(offered)]
