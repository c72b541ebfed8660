"""A LiteX system's bus as a link: LiteX's server and client carry accesses to registers and main memory."""

import struct

from boards.driver.link import WORD_BYTES, Link, LinkError, pieces

MOST_WORDS = 64  # of one access, which becomes a packet of LiteX's client: it counts to 255
ATTEMPTS = 3
REGISTERS_REGION, MEMORY_REGION = "accelerator", "main_ram"  # of boards/litex/peripheral.py, and of LiteX


class LiteXLink(Link):
    """The accelerator of a LiteX system (boards/litex).

    `client` has `read(address, words)`, which gives a list, and `write(address, words)`, as LiteX's RemoteClient;
    both raise OSError where the bus does not answer. `registers` and `memory` are the bus addresses of the
    accelerator's registers and of main memory. LiteX's serial bridge has no checksums: what is written to memory is
    read back, and what is read is read again until two readings agree, at most ATTEMPTS times. Registers are not.
    """

    def __init__(self, client, registers, memory):
        self._client, self._registers, self._memory = client, registers, memory
        self.repeated = 0  # accesses to memory that were done again

    @classmethod
    def open(cls, csr_csv, host="localhost", port=1234):
        """The system behind a running litex_server; `csr_csv` is the file of that name that its build left."""
        from litex.tools.litex_client import RemoteClient  # which only this needs

        class Client(RemoteClient):
            """LiteX's client, but that an answer that does not come is no row of zeros."""

            def receive_packet(self, *arguments):
                packet = super().receive_packet(*arguments)
                if not packet:
                    raise TimeoutError("no answer from litex_server")
                return packet

        try:
            client = Client(host, port, csr_csv=str(csr_csv))
            registers, memory = (getattr(client.mems, name).base for name in (REGISTERS_REGION, MEMORY_REGION))
            client.open()
        except (AttributeError, KeyError, ValueError, IndexError):
            raise LinkError(
                f"{csr_csv} describes no system with the regions {REGISTERS_REGION} and {MEMORY_REGION}"
            ) from None
        except OSError as error:
            raise LinkError(f"no LiteX system by {csr_csv} and litex_server at {host}:{port}: {error}") from None
        return cls(client, registers, memory)

    def read_register(self, address):
        (value,) = self._read(self._registers + address, 1)
        return value

    def write_register(self, address, value):
        self._write(self._registers + address, [int(value)])

    def read_memory(self, address, size):
        return b"".join(self._agreed(start, words) for start, words in pieces(address, size, MOST_WORDS))

    def write_memory(self, address, data):
        data = bytes(data)
        for start, words in pieces(address, len(data), MOST_WORDS):
            offset = start - address
            self._kept(start, data[offset : offset + words * WORD_BYTES])

    def place(self, parts, size):
        """Bus addresses in main memory, from its beginning."""
        return [self._memory + base for base in super().place(parts, size)]

    def _agreed(self, address, words):
        seen = [self._read(address, words)]
        for attempt in range(ATTEMPTS):
            self.repeated += attempt > 0
            again = self._read(address, words)
            if again in seen:
                return struct.pack(f"<{words}I", *again)
            seen.append(again)
        raise LinkError(f"{words} words of memory at {address:#x} read differently each time: is the DRAM calibrated?")

    def _kept(self, address, data):
        words = list(struct.unpack(f"<{len(data) // WORD_BYTES}I", data))
        for attempt in range(ATTEMPTS):
            self.repeated += attempt > 0
            self._write(address, words)
            if self._read(address, len(words)) == words:
                return
        raise LinkError(f"memory at {address:#x} does not keep what is written to it: is the DRAM calibrated?")

    def _read(self, address, words):
        try:
            values = self._client.read(address, words)
        except OSError as error:
            raise LinkError(f"no answer to a read of {words} words at {address:#x} on the LiteX bus: {error}") from None
        if len(values) != words:
            raise LinkError(f"{len(values)} words came from {address:#x} on the LiteX bus, and not {words}")
        return list(values)

    def _write(self, address, words):
        try:
            self._client.write(address, words)
        except OSError as error:
            raise LinkError(f"no write of {len(words)} words to {address:#x} on the LiteX bus: {error}") from None
