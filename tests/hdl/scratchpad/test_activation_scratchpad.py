"""ActivationScratchpad against an array: all sides at once, at random, with faults."""

import cocotb
import numpy as np

from hdl.scratchpad.activation_scratchpad import ActivationScratchpad
from quantflow.config import Config
from sim.bench import run_bench
from tests.hdl.pipelines import play

CONFIG = Config(pixels=3, lanes=2, port_bits=32, activation_bits=16, activation_depth=6)
CYCLES = 3000


ADDRESS_BITS, WORD_BITS = CONFIG.activation_address_bits, CONFIG.lanes * CONFIG.activation_bits
WRITE_BITS = 1 + ADDRESS_BITS + WORD_BITS


class Traffic:
    """Random inputs of one cycle."""

    def __init__(self, rng):
        banks, depth = CONFIG.pixels, CONFIG.activation_depth
        beyond = int(rng.random() < 0.05)
        self.read_enable = int(rng.random() < 0.5)
        self.read = rng.integers(0, depth, banks).tolist()
        self.writes = [(int(rng.random() < 0.3), int(rng.integers(depth)), random_word(rng)) for _ in range(banks)]
        self.store_valid, self.load_valid = int(rng.random() < 0.6), int(rng.random() < 0.6)
        self.store, self.load = (
            (int(rng.integers(banks + beyond)), int(rng.integers(depth + beyond))) for _ in range(2)
        )
        self.load_data = random_word(rng)

    def ports(self):
        return {
            "read_enable": self.read_enable,
            "read_addresses": sum(a << bank * ADDRESS_BITS for bank, a in enumerate(self.read)),
            "writes": sum(
                (enable | address << 1 | word << 1 + ADDRESS_BITS) << bank * WRITE_BITS
                for bank, (enable, address, word) in enumerate(self.writes)
            ),
            "store_read__valid": self.store_valid,
            "store_read__payload": self.store[0] | self.store[1] << CONFIG.bank_bits,
            "load_write__valid": self.load_valid,
            "load_write__payload": self.load[0]
            | self.load[1] << CONFIG.bank_bits
            | self.load_data << CONFIG.bank_bits + ADDRESS_BITS,
        }


def random_word(rng):
    return int(rng.integers(1 << WORD_BITS))


def exists(place):
    return place[0] < CONFIG.pixels and place[1] < CONFIG.activation_depth


class Model:
    """The scratchpad as an array; `cycle` returns what the ports show then and a cycle later."""

    def __init__(self):
        self.words = [[0] * CONFIG.activation_depth for _ in range(CONFIG.pixels)]

    def cycle(self, traffic):
        bank, address = traffic.load
        load_ready = not (bank < CONFIG.pixels and traffic.writes[bank][0])
        now = {"store_read__ready": int(not traffic.read_enable), "load_write__ready": int(load_ready)}
        stored = traffic.store_valid and not traffic.read_enable
        loaded = traffic.load_valid and load_ready
        later = {"store_data_valid": int(stored)}
        later["error"] = int((stored and not exists(traffic.store)) or (loaded and not exists(traffic.load)))
        if traffic.read_enable:
            words = [self.words[b][a] for b, a in enumerate(traffic.read)]
            later["read_data"] = sum(word << b * WORD_BITS for b, word in enumerate(words))
        elif stored and exists(traffic.store):
            later["store_data"] = self.words[traffic.store[0]][traffic.store[1]]
        for b, (enable, a, word) in enumerate(traffic.writes):
            if enable:
                self.words[b][a] = word
        if loaded and exists(traffic.load):
            self.words[bank][address] = traffic.load_data
        return now, later


@cocotb.test(timeout_time=100, timeout_unit="us")
async def all_sides_at_once(dut):
    rng = np.random.default_rng(1)
    traffic = [Traffic(rng) for _ in range(CYCLES)]
    names = ["store_read__ready", "load_write__ready", "store_data_valid", "error", "read_data", "store_data"]
    recorded = await play(dut, [cycle.ports() for cycle in traffic], names)
    model, later = Model(), {}
    for cycle, outputs in zip(traffic, recorded, strict=True):
        now, after = model.cycle(cycle)
        expected = now | later
        assert {name: outputs[name] for name in expected} == expected
        later = after


def test_activation_scratchpad(tmp_path):
    run_bench(ActivationScratchpad(CONFIG), __name__, tmp_path)
