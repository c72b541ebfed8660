"""SerialLink: whole frames and damaged ones, before a memory and registers made of cocotb."""

import logging
import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteRam

from hdl.bus.axi import named_ports
from hdl.control.register_file import CONTROL_ADDRESS_BITS
from hdl.system.serial_link import SerialLink
from hdl.system.storage import Storage
from sim.bench import run_bench
from tests.hdl.streams import reset
from tests.hdl.system.host import CYCLE_NS, READ, REFUSED, REGISTERS, SILENCE, WRITE, Host, frame, reply_frame

MEMORY_WORDS = 1000
REGISTER_BYTES = 1 << CONTROL_ADDRESS_BITS
BIT_CYCLES = 8
LATENCY = Storage.latency + 1


class Memory:
    """The host's side of a BlockMemory; `log` lists the writes."""

    def __init__(self, dut, rng):
        self.words = [rng.getrandbits(32) for _ in range(MEMORY_WORDS)]
        self.log = []
        cocotb.start_soon(self._run(dut))

    async def _run(self, dut):
        """Answers reads `LATENCY` cycles later; at other times the data is none."""
        asked = []
        while True:
            await RisingEdge(dut.clk)
            asked = [(cycles - 1, word) for cycles, word in asked if cycles]
            (word,) = [word for cycles, word in asked if not cycles] or [None]
            dut.memory__read_valid.value = word is not None
            dut.memory__read_data.value = 0xDEAD_BEEF if word is None else word
            if int(dut.memory__enable.value):
                address = int(dut.memory__address.value)
                if int(dut.memory__write.value):
                    self.words[address] = int(dut.memory__write_data.value)
                    self.log.append(address)
                else:
                    asked.append((LATENCY - 1, self.words[address]))

    def bytes(self, address, size):
        words = self.words[address // 4 : (address + size) // 4]
        return b"".join(word.to_bytes(4, "little") for word in words)


async def start(dut, seed):
    logging.getLogger("cocotb").setLevel(logging.WARNING)
    rng = random.Random(seed)
    Clock(dut.clk, CYCLE_NS, unit="ns").start()
    registers = AxiLiteRam(AxiLiteBus.from_prefix(dut, "m_axil"), dut.clk, dut.rst, size=REGISTER_BYTES)
    registers.write(0, rng.randbytes(REGISTER_BYTES))
    await reset(dut, rx=1, bit_cycles=BIT_CYCLES, memory__read_data=0, memory__read_valid=0, memory__ready=1)
    return rng, Memory(dut, rng), registers, Host(dut, BIT_CYCLES)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def words_go_both_ways(dut):
    """Memory and registers, 1 to 64 words, at both ends."""
    rng, memory, registers, host = await start(dut, 1)
    for count in (1, 64, rng.randint(2, 63)):
        for first in (0, MEMORY_WORDS - count, rng.randint(0, MEMORY_WORDS - count)):
            data = rng.randbytes(4 * count)
            await host.ask(WRITE, 4 * first, data=data)
            assert memory.bytes(4 * first, 4 * count) == data
            assert await host.ask(READ, 4 * first, count=count) == data
    for count in (1, 64, 5):
        data = rng.randbytes(4 * count)
        await host.ask(WRITE, REGISTERS + REGISTER_BYTES - 4 * count, data=data)
        assert bytes(registers.read(REGISTER_BYTES - 4 * count, 4 * count)) == data
        assert await host.ask(READ, REGISTERS, count=count) == bytes(registers.read(0, 4 * count))


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def what_cannot_be_done_is_refused_and_not_begun(dut):
    rng, memory, registers, host = await start(dut, 2)
    before, held = list(memory.words), bytes(registers.read(0, REGISTER_BYTES))
    end, past = 4 * MEMORY_WORDS, REGISTERS + REGISTER_BYTES
    for address, count in [(end, 1), (end - 4, 2), (2, 1), (1 << 30, 1), (end - 252, 64), (past, 1), (past - 8, 3)]:
        await host.ask(READ, address, count=count, status=REFUSED)
        await host.ask(WRITE, address, data=rng.randbytes(4 * count), status=REFUSED)
    for count in (0, 65, 255):
        await host.ask(READ, 0, count=count, status=REFUSED)
        await host.ask(WRITE, 0, data=rng.randbytes(4 * count), status=REFUSED)
    for command in (0, 3, 0x81):
        await host.ask(command, 0, count=1, status=REFUSED)
    assert memory.words == before and bytes(registers.read(0, REGISTER_BYTES)) == held
    assert await host.ask(READ, 0, count=64) == memory.bytes(0, 256)


@cocotb.test(timeout_time=50, timeout_unit="ms")
async def damaged_frames_change_nothing(dut):
    """Wrong bits, lost and additional bytes: no reply, no write, and after the silence all is well."""
    rng, memory, _, host = await start(dut, 3)
    answers = 0
    for damage in 4 * ["bit", "loss", "extra", "stop", "first"]:
        count = rng.choice([1, 3, 20])
        good = bytearray(frame(7, WRITE, count, 40, rng.randbytes(4 * count)))
        place = rng.randrange(1, len(good))
        if damage == "bit":
            good[place] ^= 1 << rng.randrange(8)
        elif damage == "loss":
            del good[place]
        elif damage == "extra":
            good.insert(place, rng.randrange(256))
        elif damage == "stop":
            del good[place:]
        else:
            good[0] ^= 1 << rng.randrange(8)
        before = list(memory.words)
        await host.send(good)
        answer = await host.answer(8, patience=20)
        if answer:  # a byte behind or in a frame that was equal to the next one does no damage
            assert damage == "extra"
            answers += 1
        else:
            assert memory.words == before
            # What follows at once belongs to what was damaged: even a whole frame is not heard.
            if damage in ("bit", "first"):
                await host.send(frame(8, WRITE, 1, 0, bytes(4)))
                assert await host.answer(8, patience=20) == b"" and memory.words == before
        await host.rest(SILENCE + 10)
        assert await host.ask(READ, 40, count=2) == memory.bytes(40, 8)
    assert answers <= 2


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def silence_is_needed_and_enough(dut):
    """A frame is not heard in less than 32 byte times after a damaged one; a pause within a frame may be shorter."""
    _, memory, _, host = await start(dut, 4)
    good = frame(1, READ, 1, 0)
    for rest, heard in [(SILENCE - 30, False), (SILENCE + 10, True)]:
        await host.send(b"\x00" + good[1:])
        await host.rest(rest)
        await host.send(good)
        assert (await host.answer(12, patience=30) != b"") == heard
        await host.rest(SILENCE + 10)
        await host.send(good[:5])
        await host.rest(rest)
        await host.send(good[5:])
        # The rest of a forgotten frame is not one.
        assert (await host.answer(12, patience=30) != b"") != heard
        await host.rest(SILENCE + 10)
    assert await host.ask(READ, 4, count=1) == memory.bytes(4, 4)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def a_repeated_write_is_answered_but_not_done(dut):
    rng, memory, _, host = await start(dut, 5)
    word = rng.randbytes(4)
    await host.ask(WRITE, 8, data=word, sequence=9)
    assert memory.log == [2]
    await host.ask(WRITE, 8, data=word, sequence=9)
    await host.ask(WRITE, 8, data=word, sequence=9)
    assert memory.log == [2]
    await host.ask(WRITE, 8, data=word, sequence=10)
    assert memory.log == [2, 2]
    await host.ask(READ, 8, count=1, sequence=10)
    await host.ask(WRITE, 8, data=word, sequence=10)  # a read made it forget
    assert memory.log == [2, 2, 2]
    await host.ask(WRITE, 2, data=word, sequence=11, status=REFUSED)
    await host.ask(WRITE, 2, data=word, sequence=11, status=REFUSED)  # what was refused is not taken for done
    await host.ask(WRITE, 8, data=word, sequence=11)
    assert memory.log == [2, 2, 2, 2]


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def who_talks_into_a_reply_is_not_heard_before_a_silence(dut):
    _, memory, _, host = await start(dut, 6)
    good = frame(3, READ, 8, 0)
    await host.send(good)
    await host.rest(20 * 10)
    await host.send(b"\x51\x51")  # in the middle of the reply's 40 bytes
    assert await host.answer(40) == reply_frame(3, 0, memory.bytes(0, 32))
    await host.send(good)
    assert await host.answer(8, patience=30) == b""
    await host.rest(SILENCE + 10)
    assert await host.ask(READ, 0, count=1) == memory.bytes(0, 4)


@cocotb.test(timeout_time=20, timeout_unit="ms")
async def a_break_ends_a_frame(dut):
    _, memory, _, host = await start(dut, 7)
    good = frame(3, READ, 1, 0)
    await host.send(good[:6])
    dut.rx.value = 0
    await host.rest(50)
    dut.rx.value = 1
    await host.rest(5)
    await host.send(good)
    assert await host.answer(8, patience=30) == b""
    await host.rest(SILENCE + 10)
    assert await host.ask(READ, 0, count=1) == memory.bytes(0, 4)


def test_serial_link(tmp_path):
    link = SerialLink(MEMORY_WORDS)
    run_bench(link, __name__, tmp_path, ports=named_ports(link, {"registers": "m_axil_"}))
