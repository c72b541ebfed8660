"""The link over PYNQ's interfaces, on stand-ins that are as strict as they are: caches, addresses, types."""

import numpy as np
import pytest

from boards.driver import LinkError
from boards.driver.pynq import PynqLink
from quantflow.registers import Register


class Registers:
    """As pynq.MMIO."""

    def __init__(self):
        self.values = {}

    def read(self, offset=0):
        return np.uint32(self.values.get(offset, 0))

    def write(self, offset, data):
        if type(data) is not int or type(offset) is not int:
            raise ValueError("Data type must be int or bytes.")
        self.values[offset] = data


class Buffer(np.ndarray):
    """As pynq.buffer.PynqBuffer, with a cache: what the machine sees is in `dram`, until flush and invalidate."""

    dram = np.zeros(1 << 16, np.uint8)

    def __array_finalize__(self, whole):
        if isinstance(whole, Buffer):
            offset = self.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
            self.physical_address = whole.physical_address + offset
        self.freed = False

    def flush(self):
        self.dram[self.physical_address :][: self.nbytes] = self

    def invalidate(self):
        self[:] = self.dram[self.physical_address :][: self.nbytes]

    def freebuffer(self):
        self.freed = True


class Allocator:
    def __init__(self, first=0x2010):
        self.next, self.buffers = first, []

    def __call__(self, shape, dtype):
        buffer = np.zeros(shape, dtype).view(Buffer)
        buffer.physical_address, self.next = self.next, self.next + buffer.nbytes + 0x30
        self.buffers.append(buffer)
        return buffer


def test_registers():
    registers = Registers()
    link = PynqLink(registers, Allocator())
    link.write_register(Register.PORT_BASE + 4, np.int64(0x1000))
    assert registers.values == {0x34: 0x1000}
    assert link.read_register(Register.PORT_BASE + 4) == 0x1000 and type(link.read_register(Register.ERROR)) is int


def test_memory():
    """Parts begin on pages; what is written reaches the machine, and what the machine writes is read."""
    allocator = Allocator()
    link = PynqLink(Registers(), allocator)
    bases = link.place(2, 0x1800)
    assert bases == [0x3000, 0x5000]
    for base in bases:
        link.write_memory(base + 0x10, b"weights!")
        assert bytes(Buffer.dram[base + 0x10 :][:8]) == b"weights!"
        Buffer.dram[base + 0x10 :][:4] = 7
        assert link.read_memory(base + 0x10, 8) == bytes([7, 7, 7, 7]) + b"hts!"
    with pytest.raises(LinkError, match="8 bytes at 0x200c lie outside of the memory"):
        link.read_memory(0x200C, 8)
    with pytest.raises(LinkError, match="outside of the memory"):
        link.write_memory(bases[1] + 0x2FF8, bytes(0x20))
    first = list(allocator.buffers)
    link.place(1, 64)
    assert [buffer.freed for buffer in first] == [True, True] and not allocator.buffers[-1].freed
    with pytest.raises(LinkError, match="which the machine's addresses of 32 bits do not reach"):
        PynqLink(Registers(), Allocator(0x1_0000_0000)).place(1, 64)


def test_waiting():
    waited = []
    PynqLink(Registers(), Allocator(), waited.append).wait(3)
    assert waited == [3]
    PynqLink(Registers(), Allocator()).wait(3)  # sleeps a moment only
