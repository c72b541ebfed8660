"""A machine beside the ARM cores of a Zynq, under PYNQ: registers by memory map, memory by contiguous buffers."""

import numpy as np

from boards.driver.link import PAGE_BYTES, Link, LinkError

REGISTER_BYTES = 4096  # of the control port's window
ADDRESS_END = 1 << 32  # the machine's bus has addresses of 32 bits


class PynqLink(Link):
    """Registers and memory of a machine behind a Zynq's general-purpose and high-performance ports.

    `registers` is a pynq.MMIO, or anything with its `read(address)` and `write(address, value)`; `allocate` is
    pynq.allocate, or anything that returns arrays with its buffers' `physical_address`, `flush`, `invalidate`
    and `freebuffer`. `interrupt(seconds)`, where it is given, sleeps until the machine's interrupt, at most that long;
    without it the machine is looked at again and again.
    """

    def __init__(self, registers, allocate, interrupt=None):
        self._registers, self._allocate, self._interrupt = registers, allocate, interrupt
        self._buffers = []

    @classmethod
    def open(cls, base, interrupt=None):
        """The machine whose control port the design has at address `base`; its bitstream is loaded already."""
        import pynq  # the board's own, which only this needs

        return cls(pynq.MMIO(base, REGISTER_BYTES), pynq.allocate, interrupt)

    def read_register(self, address):
        return int(self._registers.read(int(address)))

    def write_register(self, address, value):
        self._registers.write(int(address), int(value))

    def place(self, parts, size):
        """Contiguous buffers; those of an earlier call are given back."""
        self.close()
        for _ in range(parts):
            # Room to begin on a page, wherever the buffer does.
            self._buffers.append(self._allocate((size + PAGE_BYTES,), np.uint8))
        return [self._base(buffer, size) for buffer in self._buffers]

    def close(self):
        """Give the buffers back; the machine must not run any more."""
        while self._buffers:
            self._buffers.pop().freebuffer()

    @staticmethod
    def _base(buffer, size):
        base = -(-buffer.physical_address // PAGE_BYTES) * PAGE_BYTES
        if base + size > ADDRESS_END:
            raise LinkError(f"a buffer lies at {base:#x}, which the machine's addresses of 32 bits do not reach")
        return base

    def read_memory(self, address, size):
        part = self._part(address, size)
        part.invalidate()
        return part.tobytes()

    def write_memory(self, address, data):
        part = self._part(address, len(data))
        part[:] = np.frombuffer(data, np.uint8)
        part.flush()

    def _part(self, address, size):
        for buffer in self._buffers:
            offset = address - buffer.physical_address
            if 0 <= offset and offset + size <= buffer.nbytes:
                return buffer[offset : offset + size]
        raise LinkError(f"{size} bytes at {address:#x} lie outside of the memory that was placed")

    def wait(self, seconds):
        if self._interrupt:
            self._interrupt(seconds)
        else:
            super().wait(seconds)
