"""The link over LiteX's bus: a stand-in for the bus, by itself and behind LiteX's own server and client."""

import random
import threading

import pytest

from boards.driver import LinkError
from boards.driver.litex_link import ATTEMPTS, MOST_WORDS, LiteXLink

REGISTERS, MEMORY = 0x9000_0000, 0x4000_0000
CSR = f"""#a comment
csr_base,ctrl,0xf0000000,,
constant,config_csr_data_width,32,,
constant,config_bus_address_width,32,,
memory_region,main_ram,{MEMORY:#x},536870912,cached
memory_region,accelerator,{REGISTERS:#x},256,io
"""


class Bus:
    """Words by address. `damage` maps the number of an access to what its first word is xored with."""

    def __init__(self, damage=()):
        self.words, self.damage, self.accesses = {}, dict(damage), 0

    def read(self, address, length=None, burst="incr"):
        words = [self.words.get(address + 4 * n, 0) for n in range(length)]
        return [words[0] ^ self._flipped(), *words[1:]]

    def write(self, address, words):
        words = [words[0] ^ self._flipped(), *words[1:]]
        for n, word in enumerate(words):
            assert 0 <= word < 1 << 32
            self.words[address + 4 * n] = word

    def _flipped(self):
        self.accesses += 1
        return self.damage.get(self.accesses - 1, 0)


def data(size, seed=1):
    return random.Random(seed).randbytes(size)


def test_accesses():
    """Bytes of any length come back, little endian, at their addresses; registers are where they should be."""
    bus = Bus()
    link = LiteXLink(bus, REGISTERS, MEMORY)
    for seed, size in enumerate((4, 4 * MOST_WORDS, 4 * MOST_WORDS + 4, 4000)):
        (base, other) = link.place(2, size)
        assert base == MEMORY and other >= base + size and other % 4096 == 0
        link.write_memory(other, data(size, seed))
        assert link.read_memory(other, size) == data(size, seed)
        assert bus.words[other] == int.from_bytes(data(size, seed)[:4], "little")
    link.write_register(0x10, 0xFFFF_FFFF)
    assert bus.words[REGISTERS + 0x10] == link.read_register(0x10) == 0xFFFF_FFFF
    assert link.repeated == 0


@pytest.mark.parametrize("access", range(4))
def test_damage_is_repaired(access):
    """One damaged access of the four of a write and a read: written, read back, read, read again."""
    link = LiteXLink(Bus({access: 1 << 7}), REGISTERS, MEMORY)
    link.write_memory(MEMORY, data(64))
    assert link.read_memory(MEMORY, 64) == data(64)
    assert link.repeated == 1


def test_damage_without_end_is_told():
    noisy = {n: n + 1 for n in range(100)}
    link = LiteXLink(Bus(noisy), REGISTERS, MEMORY)
    with pytest.raises(LinkError, match="memory at 0x40000100 does not keep what is written to it: is the DRAM cal"):
        link.write_memory(MEMORY + 0x100, data(8))
    assert link.repeated == ATTEMPTS - 1
    with pytest.raises(LinkError, match="2 words of memory at 0x40000100 read differently each time"):
        link.read_memory(MEMORY + 0x100, 8)


def test_what_is_no_answer():
    class Silent(Bus):
        def read(self, address, length=None, burst="incr"):
            raise TimeoutError("nothing")

        write = read

    link = LiteXLink(Silent(), REGISTERS, MEMORY)
    with pytest.raises(LinkError, match="no answer to a read of 1 words at 0x90000004 on the LiteX bus: nothing"):
        link.read_register(4)
    with pytest.raises(LinkError, match="no write of 1 words to 0x90000004 on the LiteX bus: nothing"):
        link.write_register(4, 1)
    with pytest.raises(LinkError, match="6 bytes of memory at 0x40000000 are not whole words"):
        link.read_memory(MEMORY, 6)


def served(bus):
    """A running server of LiteX's before a bus, on a free port of this machine."""
    server_module = pytest.importorskip("litex.tools.litex_server", reason="the extra `litex` is not installed")
    bus.open = bus.close = lambda: None
    server = server_module.RemoteServer(bus, "localhost", 0)
    server.open()
    server.start(1)
    return server.socket.getsockname()[1]


@pytest.mark.filterwarnings("ignore:setDaemon:DeprecationWarning")
def test_with_litex_server(tmp_path):
    """Through LiteX's own client and server."""
    (tmp_path / "csr.csv").write_text(CSR)
    bus = Bus()
    link = LiteXLink.open(tmp_path / "csr.csv", port=served(bus))
    link.write_memory(MEMORY + 0x1000, data(1000))
    assert link.read_memory(MEMORY + 0x1000, 1000) == data(1000)
    link.write_register(0x10, 1234)
    assert link.read_register(0x10) == bus.words[REGISTERS + 0x10] == 1234


@pytest.mark.filterwarnings("ignore:setDaemon:DeprecationWarning")
def test_server_that_hangs(tmp_path):
    """A serial line that gives no answer hangs LiteX's server; that is an error here, and no row of zeros."""
    (tmp_path / "csr.csv").write_text(CSR)
    bus = Bus()
    port = served(bus)
    link = LiteXLink.open(tmp_path / "csr.csv", port=port)

    bus.read = lambda *_: threading.Event().wait()  # for ever
    with pytest.raises(
        LinkError, match="no answer to a read of 1 words at 0x90000010 on the LiteX bus: no answer from"
    ):
        link.read_register(0x10)


def test_no_system(tmp_path):
    pytest.importorskip("litex", reason="the extra `litex` is not installed")
    path = tmp_path / "csr.csv"
    with pytest.raises(LinkError, match="no LiteX system by .*csr.csv and litex_server at localhost:1: .*No such file"):
        LiteXLink.open(path, port=1)
    path.write_text(CSR)
    with pytest.raises(LinkError, match="no LiteX system by .* at localhost:1: .*refused"):
        LiteXLink.open(path, port=1)
    path.write_text("\n".join(line for line in CSR.splitlines() if "accelerator" not in line))
    with pytest.raises(LinkError, match="csr.csv describes no system with the regions accelerator and main_ram"):
        LiteXLink.open(path, port=1)
