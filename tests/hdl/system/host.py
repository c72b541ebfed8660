"""The host's side of the serial link, bare: frames by docs/serial_link.md, each sent once."""

from zlib import crc32

from cocotb.triggers import ClockCycles, First, Timer
from cocotbext.uart import UartSink, UartSource

READ, WRITE = 1, 2
DONE, REFUSED = 0, 1
REGISTERS = 1 << 31
SILENCE = 32 * 10  # bit times
CYCLE_NS = 10


def frame(sequence, command, count, address, data=b""):
    body = bytes([sequence, command, count]) + address.to_bytes(4, "little") + data
    return b"\x51" + body + crc32(body).to_bytes(4, "little")


def reply_frame(sequence, status, data=b""):
    body = bytes([sequence, status, len(data) // 4]) + data
    return b"\xa1" + body + crc32(body).to_bytes(4, "little")


class Host:
    """Sends bytes and takes what comes back."""

    def __init__(self, dut, bit_cycles):
        self.dut, self.bit_cycles, self.sequence = dut, bit_cycles, 0
        baud = 1e9 / (bit_cycles * CYCLE_NS)
        self.source, self.sink = UartSource(dut.rx, baud=baud), UartSink(dut.tx, baud=baud)

    async def rest(self, bit_times):
        await ClockCycles(self.dut.clk, round(bit_times * self.bit_cycles))

    async def send(self, data):
        await self.source.write(data)
        await self.source.wait()

    async def answer(self, size, *, patience=SILENCE):
        """`size` bytes, or as many as come before the line rests for `patience` bit times."""
        taken = b""
        while len(taken) < size:
            if self.sink.empty():
                self.sink.sync.clear()
                await First(self.sink.sync.wait(), Timer(patience * self.bit_cycles * CYCLE_NS, "ns"))
                if self.sink.empty():
                    break
            taken += bytes(self.sink.read_nowait())
        return taken

    async def ask(self, command, address, *, count=None, data=b"", status=DONE, sequence=None):
        """Sends a request, checks the frame of its reply, returns the words' bytes."""
        if sequence is None:
            self.sequence = sequence = (self.sequence + 1) % 256
        count = len(data) // 4 if count is None else count
        await self.send(frame(sequence, command, count, address, data))
        expected = 4 * count if command == READ and status == DONE else 0
        reply = await self.answer(8 + expected)
        assert reply == reply_frame(sequence, status, reply[4:-4]) and len(reply) == 8 + expected
        return reply[4:-4]

    async def read(self, address, size):
        parts = [(first, min(256, size - first)) for first in range(0, size, 256)]
        return b"".join([await self.ask(READ, address + first, count=length // 4) for first, length in parts])

    async def write(self, address, data):
        for first in range(0, len(data), 256):
            await self.ask(WRITE, address + first, data=data[first : first + 256])

    async def read_register(self, register):
        return int.from_bytes(await self.ask(READ, REGISTERS | register, count=1), "little")

    async def write_register(self, register, value):
        await self.ask(WRITE, REGISTERS | register, data=value.to_bytes(4, "little"))
