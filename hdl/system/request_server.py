"""Does what requests ask for: registers and memory."""

from amaranth import Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from hdl.bus.axi import LITE_DATA_BITS, lite_signature
from hdl.control.register_file import CONTROL_ADDRESS_BITS
from hdl.system.frames import MOST_WORDS, REGISTERS_BIT, REPLY, REQUEST, WORD_BITS, WORD_BYTES, Command, Status
from hdl.system.host_access import host_signature

REGISTER_WORDS = (1 << CONTROL_ADDRESS_BITS) // WORD_BYTES


class RequestServer(wiring.Component):
    """Reads and writes words for a request, then offers the reply; takes the request with the reply.

        refused   no such command, no or too many words, an address that is no multiple of 4 or leads outside
        repeated  a write with the sequence number of the last request, if that was a write that was done

    Nothing is done for a refused or a repeated request. A word is read once `read_words` is ready for it, and has to be
    taken in the cycle in which it comes.

    Registers are those of the accelerator, whose AXI4-Lite slave takes a write's address and data in one cycle and
    answers OKAY to everything.

    Ports: requests In(stream of REQUEST), replies Out(stream of REPLY); write_words In, read_words Out(stream of 32
    bits); memory Out(host_signature); registers Out(lite_signature).
    """

    def __init__(self, memory_words):
        self.memory_words = memory_words
        self.address_bits = ceil_log2(max(memory_words, REGISTER_WORDS))
        super().__init__({
            "requests": In(stream.Signature(REQUEST)),
            "write_words": In(stream.Signature(WORD_BITS)),
            "replies": Out(stream.Signature(REPLY)),
            "read_words": Out(stream.Signature(WORD_BITS)),
            "memory": Out(host_signature()),
            "registers": Out(lite_signature(CONTROL_ADDRESS_BITS)),
        })

    def elaborate(self, platform):
        m = Module()
        request, reply = self.requests.payload, self.replies.payload
        address, words_left = Signal(self.address_bits), Signal(range(MOST_WORDS + 1))
        refused, repeated, last, last_known = Signal(), Signal(), Signal(8), Signal()
        in_registers, writes = request.address[REGISTERS_BIT], request.command == Command.WRITE
        m.d.comb += [
            reply.sequence.eq(request.sequence),
            reply.status.eq(Mux(refused, Status.REFUSED, Status.DONE)),
            reply.count.eq(Mux(refused | writes, 0, request.count)),
        ]
        with m.FSM() as fsm:
            with m.State("WAIT"):
                m.d.sync += [
                    refused.eq(self._refused(request)),
                    repeated.eq(writes & last_known & (last == request.sequence)),
                    address.eq(request.address[2:REGISTERS_BIT]),
                    words_left.eq(request.count),
                ]
                with m.If(self.requests.valid):
                    m.next = "BEGIN"
            with m.State("BEGIN"):
                m.d.sync += [last_known.eq(writes & ~refused), last.eq(request.sequence)]
                m.next = "REPLY"
                with m.If(refused | repeated):
                    m.d.sync += words_left.eq(0)
                with m.Elif(writes):
                    m.next = "WRITE"
            with m.State("WRITE"):
                self._write(m, in_registers, words_left)
            with m.State("WRITTEN"):
                with m.If(self.registers.bvalid):
                    m.next = "WRITE"
            with m.State("REPLY"):
                with m.If(self.replies.ready):
                    m.d.comb += self.requests.ready.eq(1)
                    m.next = "WAIT"
                with m.Elif((words_left != 0) & self.read_words.ready):
                    self._read(m, in_registers)
            with m.State("READ"):
                m.d.comb += self.read_words.valid.eq(Mux(in_registers, self.registers.rvalid, self.memory.read_valid))
                with m.If(self.read_words.valid):
                    m.next = "REPLY"
        m.d.comb += self.replies.valid.eq(fsm.ongoing("REPLY") | fsm.ongoing("READ"))
        self._step(m, address, words_left)
        self._connect(m, address, in_registers)
        return m

    def _refused(self, request):
        known = (request.command == Command.READ) | (request.command == Command.WRITE)
        counted = (request.count != 0) & (request.count <= MOST_WORDS)
        first = request.address[2:REGISTERS_BIT]
        near, far = first[: self.address_bits], first[self.address_bits :]
        end = near + request.count
        inside = ~far.any() & (end <= Mux(request.address[REGISTERS_BIT], REGISTER_WORDS, self.memory_words))
        return ~(known & counted & inside) | request.address[:2].any()

    def _write(self, m, in_registers, words_left):
        with m.If(words_left == 0):
            m.next = "REPLY"
        with m.Elif(self.write_words.valid):
            with m.If(~in_registers):
                m.d.comb += [self.memory.enable.eq(1), self.memory.write.eq(1)]
                m.d.comb += self.write_words.ready.eq(self.memory.ready)
            with m.Else():
                m.d.comb += [self.registers.awvalid.eq(1), self.registers.wvalid.eq(1)]
                with m.If(self.registers.awready):
                    m.d.comb += self.write_words.ready.eq(1)
                    m.next = "WRITTEN"

    def _read(self, m, in_registers):
        with m.If(~in_registers):
            m.d.comb += self.memory.enable.eq(1)
            with m.If(self.memory.ready):
                m.next = "READ"
        with m.Else():
            m.d.comb += self.registers.arvalid.eq(1)
            with m.If(self.registers.arready):
                m.next = "READ"

    def _step(self, m, address, words_left):
        """On to the next word."""
        with m.If(self.read_words.valid | (self.write_words.valid & self.write_words.ready)):
            m.d.sync += [address.eq(address + 1), words_left.eq(words_left - 1)]

    def _connect(self, m, address, in_registers):
        memory, registers = self.memory, self.registers
        m.d.comb += [
            self.read_words.payload.eq(Mux(in_registers, registers.rdata, memory.read_data)),
            memory.address.eq(address),
            memory.write_data.eq(self.write_words.payload),
            registers.awaddr.eq(address << 2),
            registers.araddr.eq(address << 2),
            registers.wdata.eq(self.write_words.payload),
            registers.wstrb.eq(Const(1).replicate(LITE_DATA_BITS // 8)),
            registers.bready.eq(1),
            registers.rready.eq(1),
        ]
