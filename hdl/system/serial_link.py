"""The serial link's device side. Assembly only."""

from amaranth import Module, Mux
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.bus.axi import lite_signature
from hdl.control.register_file import CONTROL_ADDRESS_BITS
from hdl.system.frame_receiver import FrameReceiver
from hdl.system.frame_sender import FrameSender
from hdl.system.host_access import host_signature
from hdl.system.request_server import RequestServer
from hdl.system.serial_crc import SerialCrc
from hdl.system.uart import BIT_CYCLES_BITS, Receiver, Transmitter


class SerialLink(wiring.Component):
    """Answers the frames of docs/serial_link.md.

    Ports: rx In(1), synchronous to the clock; tx Out(1); bit_cycles In(16), clock cycles of a bit, at least 4;
    memory Out(host_signature), of `memory_words` words of 32 bits; registers Out(lite_signature).
    """

    def __init__(self, memory_words):
        self.memory_words = memory_words
        super().__init__({
            "rx": In(1),
            "tx": Out(1, init=1),
            "bit_cycles": In(BIT_CYCLES_BITS),
            "memory": Out(host_signature()),
            "registers": Out(lite_signature(CONTROL_ADDRESS_BITS)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = Receiver()
        m.submodules.frame_receiver = frames = FrameReceiver()
        m.submodules.server = server = RequestServer(self.memory_words)
        m.submodules.frame_sender = sender = FrameSender()
        m.submodules.transmitter = transmitter = Transmitter()
        m.d.comb += [
            receiver.line.eq(self.rx),
            receiver.bit_cycles.eq(self.bit_cycles),
            frames.byte.eq(receiver.byte),
            frames.received.eq(receiver.received),
            frames.framing_error.eq(receiver.framing_error),
            frames.receiving.eq(receiver.receiving),
            frames.bit_time.eq(receiver.bit_time),
            transmitter.bit_cycles.eq(self.bit_cycles),
            self.tx.eq(transmitter.line),
        ]
        m.submodules.crc = crc = SerialCrc()
        replying = frames.requests.valid
        for name in ("start", "data", "valid"):
            of_sender, of_receiver = getattr(sender.crc, name), getattr(frames.crc, name)
            m.d.comb += getattr(crc.user, name).eq(Mux(replying, of_sender, of_receiver))
        for user in (sender.crc, frames.crc):
            m.d.comb += [
                getattr(user, name).eq(getattr(crc.user, name)) for name in ("ready", "byte", "match_detected")
            ]
        connect(m, frames.requests, server.requests)
        connect(m, frames.words, server.write_words)
        connect(m, server.replies, sender.replies)
        connect(m, server.read_words, sender.words)
        connect(m, sender.bytes, transmitter.bytes)
        connect(m, server.memory, flipped(self.memory))
        connect(m, server.registers, flipped(self.registers))
        return m
