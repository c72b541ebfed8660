"""Play inputs into fixed-latency components under cocotb, cycle by cycle, and record outputs."""

import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

from quantflow.packing import from_bits, to_bits


def to_port(values, width):
    """Integers of any shape as the flat number that a vector port takes, the first lowest."""
    bits = to_bits(values, width).reshape(-1).astype(np.uint8)
    return int.from_bytes(np.packbits(bits, bitorder="little").tobytes(), "little")


def from_port(number, width, shape, *, signed=True):
    """Inverse of `to_port`: int64 array of `shape`."""
    count = int(np.prod(shape)) * width
    flat = np.frombuffer(number.to_bytes(-(-count // 8), "little"), dtype=np.uint8)
    bits = np.unpackbits(flat, bitorder="little")[:count]
    return from_bits(bits.reshape(*shape, width), signed=signed)


async def play(dut, cycles, outputs):
    """Reset, then apply one {input: number} per cycle; returns one {output: number} for each.

    An output is read at the end of the cycle in which the inputs of the same index are applied.
    An input keeps its value until it is given another.
    """
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst.value = 1
    for name in {name for inputs in cycles for name in inputs}:
        getattr(dut, name).value = 0
    await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    dut.rst.value = 0
    recorded = []
    for inputs in cycles:
        for name, number in inputs.items():
            getattr(dut, name).value = number
        await RisingEdge(dut.clk)
        recorded.append({name: int(getattr(dut, name).value) for name in outputs})
    return recorded


def random_integers(rng, bits, shape):
    """Signed integers of `bits`: uniform ones, and both ends of the range one time in four."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    uniform = rng.integers(low, high, shape, endpoint=True)
    return np.where(rng.random(shape) < 0.25, rng.choice([low, high], shape), uniform)


def random_groups(rng, count, longest):
    """Marks of `count` groups of 1 to `longest` steps, one dict per cycle, idle cycles between."""
    cycles = []
    for _ in range(count):
        steps = int(rng.integers(1, longest, endpoint=True))
        stall = rng.choice([0.0, 0.4])
        for step in range(steps):
            while rng.random() < stall:  # what is not valid carries any marks
                cycles.append({"valid": 0, "first": int(rng.integers(2)), "last": int(rng.integers(2))})
            cycles.append({"valid": 1, "first": int(step == 0), "last": int(step == steps - 1)})
    return cycles
