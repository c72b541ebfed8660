"""How a driver reaches a machine: registers, memory, time."""

import time
from abc import ABC, abstractmethod

WORD_BYTES = 4
PAGE_BYTES = 4096  # of which the ports' bases are multiples
POLL_SECONDS = 50e-6  # between two looks at a machine that cannot call


class LinkError(Exception):
    """The machine cannot be reached; the message says by which request."""


def pieces(address, size, most_words):
    """(address, words) of the accesses, of `most_words` at most, for a piece of memory; LinkError for odd bytes."""
    if address % WORD_BYTES or size % WORD_BYTES:
        raise LinkError(f"{size} bytes of memory at {address:#x} are not whole words")
    most, end = most_words * WORD_BYTES, address + size
    return [(start, min(most, end - start) // WORD_BYTES) for start in range(address, end, most)]


class Link(ABC):
    """The registers of one machine and the memory on its bus.

    Addresses and sizes are in bytes; those of memory are multiples of 4, as they are on the bus of the
    machine's AXI4 ports. Every method raises LinkError, in bounded time, where it cannot do what it is for.
    """

    @abstractmethod
    def read_register(self, address):
        """The 32-bit register at an address of the control port."""

    @abstractmethod
    def write_register(self, address, value):
        """Write a 32-bit register."""

    @abstractmethod
    def read_memory(self, address, size):
        """`size` bytes of memory."""

    @abstractmethod
    def write_memory(self, address, data):
        """Write bytes to memory."""

    def place(self, parts, size):
        """Memory for the machine: bus addresses of as many parts of `size` bytes, one behind each port."""
        stride = -(-size // PAGE_BYTES) * PAGE_BYTES
        return [part * stride for part in range(parts)]

    def wait(self, seconds):
        """Sleep until the machine interrupts, at most `seconds`; it may be less."""
        time.sleep(min(seconds, POLL_SECONDS))

    def now(self):
        """Seconds since some moment."""
        return time.monotonic()
