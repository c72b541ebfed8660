"""ActivationScratchpad against an array: all sides at once, at random, with faults."""

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from hdl.scratchpad.activation_scratchpad import ActivationScratchpad
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.streams import reset

CONFIG = Config(pixels=3, lanes=2, port_bits=32, activation_bits=16, activation_depth=6)
CYCLES = 3000

ADDRESS_BITS, WORD_BITS = CONFIG.activation_address_bits, CONFIG.lanes * CONFIG.activation_bits
WRITE_BITS = 1 + ADDRESS_BITS + WORD_BITS
BANKS, DEPTH = range(CONFIG.pixels), CONFIG.activation_depth


def random_row(rng):
    return rng.integers(1 << WORD_BITS, size=CONFIG.pixels).tolist()


def packed(words, bits=WORD_BITS):
    return sum(word << bank * bits for bank, word in enumerate(words))


class Model:
    """The scratchpad as an array, and what loads and stores have achieved of their rows."""

    def __init__(self, rng, *, busy):
        self.rng, self.busy, self.beyond = rng, busy, 0
        self.words = [[0] * DEPTH for _ in BANKS]
        self.load = self.store = None  # (address, row) that is offered; address that is asked for
        self.load_done, self.store_done = set(), {}  # banks; words by bank
        self.row = None  # on its way out
        self.read_data = None
        self.rows_moved = 0

    def offer(self):
        """Inputs of the next cycle: what loads and stores offer stays until taken."""
        rng = self.rng
        if self.load is None and rng.random() < 0.7:
            self.load = int(rng.integers(DEPTH + self.beyond)), random_row(rng)
        if self.store is None and rng.random() < 0.7:
            self.store = int(rng.integers(DEPTH + self.beyond))
        self.read_enable, self.ready = int(rng.random() < 0.5), int(rng.random() < 0.6)
        self.read = rng.integers(0, DEPTH, CONFIG.pixels).tolist()
        self.writes = [
            (int(rng.random() < self.busy), int(rng.integers(DEPTH)), int(rng.integers(1 << WORD_BITS)))
            for _ in BANKS
        ]
        address, row = self.load or (0, random_row(rng))
        fields = [enable | at << 1 | word << 1 + ADDRESS_BITS for enable, at, word in self.writes]
        return {
            "read_enable": self.read_enable,
            "read_addresses": packed(self.read, ADDRESS_BITS),
            "writes": packed(fields, WRITE_BITS),
            "load_write__valid": int(self.load is not None),
            "load_write__payload": address | packed(row) << CONFIG.word_address_bits,
            "store_read__valid": int(self.store is not None),
            "store_read__payload": self.store or 0,
            "rows__ready": self.ready,
        }

    def cycle(self):
        """What the outputs are in this cycle (None: anything), and what becomes of the words."""
        expected = {"rows__valid": int(self.row is not None)}
        if self.row is not None:
            expected["rows__payload"] = None if self.row == "meaningless" else packed(self.row)
        if self.read_data is not None:
            expected["read_data"] = self.read_data
        before = [list(bank) for bank in self.words]
        room = self.row is None or self.ready
        if room:
            self.rows_moved += self.row is not None
            self.row = None
        free = {bank for bank in BANKS if not self.writes[bank][0]}
        wrong = False
        if self.load is not None:
            address, row = self.load
            wrong = address >= DEPTH
            moved = set() if wrong else free - self.load_done
            for bank in moved:
                self.words[bank][address] = row[bank]
            free -= moved
            self.load_done |= moved
            expected["load_write__ready"] = int(wrong or len(self.load_done) == len(BANKS))
            if expected["load_write__ready"]:
                self.load, self.load_done = None, set()
        if self.store is not None:
            legal = self.store < DEPTH
            if room:
                self.store_done |= {
                    bank: before[bank][self.store] if legal else 0 for bank in free if bank not in self.store_done
                }
            expected["store_read__ready"] = int(len(self.store_done) == len(BANKS))
            if expected["store_read__ready"]:
                self.row = [self.store_done[bank] for bank in BANKS] if legal else "meaningless"
                self.store, self.store_done, wrong = None, {}, wrong or not legal
        for bank, (enable, address, word) in enumerate(self.writes):
            if enable:
                self.words[bank][address] = word
        if self.read_enable:
            self.read_data = packed(before[bank][address] for bank, address in enumerate(self.read))
        return expected, wrong


async def compare(dut, model, cycles):
    wrong = False
    for cycle in range(cycles):
        for name, value in model.offer().items():
            getattr(dut, name).value = value
        await RisingEdge(dut.clk)
        assert int(dut.error.value) == wrong, cycle
        expected, wrong = model.cycle()
        for name, value in expected.items():
            assert value is None or int(getattr(dut, name).value) == value, f"{name} in cycle {cycle}"


@cocotb.test(timeout_time=100, timeout_unit="us")
async def all_sides_at_once(dut):
    Clock(dut.clk, 10, unit="ns").start()
    await reset(dut, load_write__valid=0, store_read__valid=0, rows__ready=0, writes=0, read_enable=0)
    model = Model(np.random.default_rng(1), busy=0.4)
    await compare(dut, model, CYCLES)
    model.beyond = 2  # addresses that do not exist
    await compare(dut, model, CYCLES)
    assert model.rows_moved > CYCLES // 10


@cocotb.test(timeout_time=100, timeout_unit="us")
async def a_row_per_cycle(dut):
    """A store alone, and then a load alone, move a row in every cycle in which nobody writes."""
    Clock(dut.clk, 10, unit="ns").start()
    idle = {"load_write__valid": 0, "writes": 0, "read_enable": 1, "store_read__payload": 0}
    await reset(dut, store_read__valid=1, rows__ready=1, **idle)
    for _ in range(20):
        await RisingEdge(dut.clk)
        assert dut.store_read__ready.value == 1 and dut.rows__valid.value == 1
    dut.store_read__valid.value, dut.load_write__valid.value, dut.load_write__payload.value = 0, 1, 0
    for _ in range(20):
        await RisingEdge(dut.clk)
        assert dut.load_write__ready.value == 1


def test_activation_scratchpad(tmp_path):
    run_bench(ActivationScratchpad(CONFIG), __name__, tmp_path)
