"""Whole machines do not rely on what a scratchpad's read sees in the cycle of a write to the same address."""

from dataclasses import replace

import pytest
from amaranth.sim import Simulator

from hdl.scratchpad import activation_bank, word_scratchpad
from tests.sim.spoiling_memory import SpoilingMemory
from tests.sim.test_random_programs import CONFIGS, QUICK, THOROUGH, randomly, runs_of_a_network


def spoiled(config, monkeypatch):
    """A configuration of a machine like the other one's, to be built with SpoilingMemory."""
    for module in (activation_bank, word_scratchpad):
        monkeypatch.setattr(module, "Memory", SpoilingMemory)
    return replace(config, watchdog_cycles=config.watchdog_cycles + 1)  # machines are kept by configuration


@pytest.mark.parametrize("name", list(CONFIGS)[1::2])
def test_networks(name, monkeypatch):
    randomly(runs_of_a_network, spoiled(CONFIGS[name], monkeypatch), QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_two_hundred_networks(name, monkeypatch):
    randomly(runs_of_a_network, spoiled(CONFIGS[name], monkeypatch), THOROUGH)


def test_the_memory_spoils(monkeypatch):
    config = spoiled(CONFIGS["P=1"], monkeypatch)
    scratchpad = word_scratchpad.parameter_scratchpad(config)
    write, read_data, word = scratchpad.write, scratchpad.read_data.as_value(), 5

    async def bench(ctx):
        for signal, value in ((write.enable, 1), (write.address, 3), (write.data.as_value(), word)):
            ctx.set(signal, value)
        ctx.set(scratchpad.read_address, 3)
        await ctx.tick()
        assert ctx.get(read_data) == (1 << len(read_data)) - 1  # of the zero that was there
        ctx.set(write.enable, 0)
        await ctx.tick()
        assert ctx.get(read_data) == word

    simulator = Simulator(scratchpad)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
