"""Instruction fetch: the program leaves memory in order, ahead of its execution."""

from amaranth import Cat, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.bus.axi import burst_layout
from hdl.bus.burst_splitter import BurstSplitter
from hdl.instructions.seal_check import SealCheck
from quantflow.isa import SEAL_BITS, instruction_bits

PREFETCH = 4  # instructions on their way from memory or waiting here, where they overlap


class Fetch(wiring.Component):
    """Read `program_length` instructions from byte `program_address` on and put them together.

        for n in range(program_length):
            instructions <- the instruction_bits at program_address + n * instruction_bits / 8

    An instruction is asked for only when there is room for all of its beats, so `beats` is always
    ready for what was asked for and the memory's read channel is never blocked from here. At most
    `prefetch` instructions are asked for and not yet handed on.

    start : pulse while idle; address and length are taken then. `idle`: nothing left to hand on
    (low in the cycle of `start` already). Of the instructions it looks at the seal only: `damaged` is
    high while one is offered whose check fails, or that is not the last where it says so, or the
    other way round (see `quantflow.seal`).
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "start": In(1),
            "program_address": In(config.memory_address_bits),
            "program_length": In(config.memory_address_bits),
            "bursts": Out(stream.Signature(burst_layout(config))),
            "beats": In(stream.Signature(unsigned(config.beat_bits))),
            "instructions": Out(stream.Signature(unsigned(instruction_bits(config)))),
            "idle": Out(1),
            "damaged": Out(1),
        })

    @property
    def prefetch(self):
        """PREFETCH, or one: without overlap there is time to fetch, and no queue but the instruction itself."""
        return PREFETCH if self.config.overlap else 1

    @property
    def instruction_beats(self):
        return instruction_bits(self.config) // self.config.beat_bits

    def elaborate(self, platform):
        m = Module()
        m.submodules.splitter = splitter = BurstSplitter(self.config)
        connect(m, splitter.bursts, flipped(self.bursts))
        claimed = Signal(range(self.prefetch + 1))
        remaining = Signal.like(self.program_length)
        request, delivered = Signal(), Signal()
        m.d.comb += [
            splitter.requests.payload.beats.eq(self.instruction_beats),
            splitter.requests.valid.eq((remaining != 0) & (claimed != self.prefetch)),
            request.eq(splitter.requests.valid & splitter.requests.ready),
            delivered.eq(self.instructions.valid & self.instructions.ready),
            self.idle.eq((remaining == 0) & (claimed == 0) & ~self.start),
        ]
        m.d.sync += claimed.eq(claimed + request - delivered)
        address = splitter.requests.payload.address
        self._walk(m, request, address, remaining)
        intact = self._assemble(m)
        last = (remaining == 0) & (claimed == 1)  # of the program, is the instruction that is offered
        said = self.instructions.payload[-SEAL_BITS]
        m.d.comb += self.damaged.eq(self.instructions.valid & (~intact | (said != last)))
        return m

    def _walk(self, m, request, address, remaining):
        """Count addresses up and instructions down."""
        next_address = Signal.like(self.program_address)
        m.d.comb += address.eq(next_address)
        with m.If(self.start):
            m.d.sync += [next_address.eq(self.program_address), remaining.eq(self.program_length)]
        with m.Elif(request):
            step = self.instruction_beats * self.config.beat_bytes
            m.d.sync += [next_address.eq(next_address + step), remaining.eq(remaining - 1)]

    def _queue(self, m):
        """The arriving beats behind a queue with room for all that were asked for."""
        depth = self.prefetch * self.instruction_beats
        m.submodules.queue = queue = SyncFIFOBuffered(width=self.config.beat_bits, depth=depth)
        connect(m, queue.w_stream, flipped(self.beats))
        return queue.r_stream

    def _assemble(self, m):
        """Shift an instruction's beats into place, the first one lowest; returns whether its check holds."""
        beats = self._queue(m) if self.config.overlap else self.beats
        word = self.instructions.payload
        count = Signal(range(self.instruction_beats))
        take = Signal()
        m.d.comb += [
            beats.ready.eq(~self.instructions.valid | self.instructions.ready),
            take.eq(beats.valid & beats.ready),
        ]
        with m.If(self.instructions.ready):
            m.d.sync += self.instructions.valid.eq(0)
        m.submodules.seal = seal = SealCheck(self.config)
        m.d.comb += [seal.beat.eq(beats.payload), seal.take.eq(take), seal.first.eq(count == 0)]
        with m.If(take):
            m.d.sync += [word.eq(Cat(word, beats.payload)[self.config.beat_bits :]), count.eq(count + 1)]
            with m.If(count == self.instruction_beats - 1):
                m.d.sync += [self.instructions.valid.eq(1), count.eq(0)]
        return seal.intact
