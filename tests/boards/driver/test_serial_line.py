"""The serial link against a device made from its document, over a line that loses, flips and inserts bytes."""

import random

import pytest

from boards.driver import LinkError
from boards.driver.serial_line import SerialLink
from quantflow.registers import Register
from tests.boards.driver.serial_device import BAUD, Device, Faults, Line

MEMORY_BYTES = 4096
REGISTERS = {int(register): 0 for register in Register} | {int(Register.IDENTITY): 0x12345678}
PATIENCE = 0.002  # of what is simulated, in its time
FAULTS = {
    "none": {},
    "bytes lost": {"lost": 0.004},
    "bits flipped": {"flipped": 0.004},
    "bytes inserted": {"inserted": 0.004},
    "replies lost": {"replies_lost": 0.3},
    "replies late": {"replies_late": 0.5},
    "everything": {"lost": 0.001, "flipped": 0.001, "inserted": 0.002, "replies_lost": 0.1, "replies_late": 0.2},
}


def connected(seed, **faults):
    device = Device(MEMORY_BYTES, REGISTERS)
    line = Line(device, Faults(seed, **faults))
    return SerialLink(line, BAUD, attempts=30, patience=PATIENCE), device


@pytest.mark.parametrize("name", FAULTS)
def test_whatever_happens_on_the_line_the_data_are_right(name):
    """Random reads and writes: what is read is what was written, and every write is done once, in order."""
    link, device = connected(1, **FAULTS[name])
    chosen, memory, started = random.Random(2), bytearray(MEMORY_BYTES), 0
    for _ in range(600):
        first, words = chosen.randrange(MEMORY_BYTES // 4), chosen.choice((1, 2, 63, 64, 65, 150))
        first, size = 4 * first, 4 * min(words, MEMORY_BYTES // 4 - first)
        match chosen.choice(("write", "read", "start", "register")):
            case "write":
                memory[first : first + size] = data = chosen.randbytes(size)
                link.write_memory(first, data)
            case "read":
                assert link.read_memory(first, size) == memory[first : first + size]
            case "start":
                started += 1
                link.write_register(Register.CONTROL, 1)
            case "register":
                assert link.read_register(Register.IDENTITY) == 0x12345678
    assert device.memory == memory
    assert sum(address == 1 << 31 | Register.CONTROL for address, _ in device.written) == started
    assert (link.repeated == 0) == (name == "none")


def test_numbers_come_again_without_a_write_being_taken_for_an_earlier_one():
    """256 requests after a write its number comes again: whatever the device remembers, it must not swallow a write."""
    link, device = connected(3)
    device._answer = forgetful_of_nothing(device)
    for reads in (0, 254, 255, 256, 511):
        link.write_register(Register.PROGRAM_LENGTH, reads)
        for _ in range(reads):
            link.read_register(Register.STATUS)
        link.write_register(Register.PROGRAM_LENGTH, reads + 1)
        assert device.registers[Register.PROGRAM_LENGTH] == reads + 1, reads


def forgetful_of_nothing(device):
    """The device's answers, but that reads do not make it forget the last write's number."""
    answer = Device._answer

    def answered(frame):
        kept = device._last
        reply = answer(device, frame)
        device._last = device._last if frame[2] == 2 else kept
        return reply

    return answered


@pytest.mark.parametrize(
    "faults", [{"lost": 1.0}, {"replies_lost": 1.0}, {"flipped": 1.0}], ids=["deaf", "mute", "damaged"]
)
def test_a_dead_line_ends_in_an_error(faults):
    link, _ = connected(4)
    line = link._line
    line.faults = Faults(5, **faults)
    before = line.now
    with pytest.raises(LinkError, match="no undamaged reply to a write of 64 words of the memory at 0x100 in 30 att"):
        link.write_memory(0x100, bytes(1000))
    assert line.now - before < 1
    with pytest.raises(LinkError, match=r"no undamaged reply to a read of 1 words of the registers at 0x8 in 30"):
        link.read_register(Register.ERROR)


def test_a_line_that_never_falls_silent():
    class Babbling:
        timeout = 0

        def write(self, data):
            pass

        def read(self, size):
            return bytes(size)

    with pytest.raises(LinkError, match="bytes that nobody asked for, without end: is its speed right"):
        SerialLink(Babbling(), BAUD)


@pytest.mark.parametrize("name", ("write", "read"))
def test_an_adapter_that_is_pulled_out(name):
    link, _ = connected(7)

    def gone(_):
        raise OSError("device disconnected")

    setattr(link._line, name, gone)
    with pytest.raises(LinkError, match="the serial line broke down: device disconnected"):
        link.read_register(Register.STATUS)


def test_addresses_that_do_not_exist():
    link, _ = connected(6)
    with pytest.raises(LinkError, match="refuses an address"):
        link.read_memory(MEMORY_BYTES - 4, 8)
    with pytest.raises(LinkError, match="refuses an address"):
        link.write_register(0x3FC, 0)
    with pytest.raises(LinkError, match="6 bytes of memory at 0x0 are not whole words"):
        link.read_memory(0, 6)
    assert link.repeated == 0


def test_a_port_that_is_not_there():
    pytest.importorskip("serial")
    with pytest.raises(LinkError, match="/dev/no-such-port cannot be opened"):
        SerialLink.open("/dev/no-such-port", BAUD)
