"""The way of results into the activation scratchpad."""

from amaranth import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.compute.bank_scatter import BankScatter
from hdl.datapath.requantizer import Requantizer
from hdl.datapath.window_pool import WindowPool
from hdl.delay import delayed
from hdl.layouts import Vector, activation_word, struct_layout
from hdl.scratchpad.activation_scratchpad import write_layout
from hdl.sequencing.write_address import WriteAddress
from hdl.sequencing.write_sequencer import WriteSequencer, result_layout
from quantflow import isa


class WriteBack(wiring.Component):
    """Pools the requantized words over their window and writes the window's last to the banks.

    `result` describes a drain cycle's words `WriteSequencer.latency` cycles after that cycle,
    `results` brings them `Requantizer.latency` cycles after it; description and words meet here.
    The write comes `latency` cycles after `result`. `instruction` belongs to `result` and is used
    until `settling` cycles behind its last one. No back-pressure.

    Ports: instruction In(isa.Compute); result In(result_layout); results In, R activation words;
    writes Out, P of write_layout; error_address, error_illegal Out(1), pulses for an address beyond
    the scratchpad and for two words that go to one bank at once.
    """

    def __init__(self, config):
        self.config = config
        self._write_address = WriteAddress(config)
        super().__init__({
            "instruction": In(struct_layout(isa.Compute, config)),
            "result": In(result_layout(config)),
            "results": In(Vector(activation_word(config), config.requantizers)),
            "writes": Out(Vector(write_layout(config), config.pixels)),
            "error_address": Out(1),
            "error_illegal": Out(1),
        })

    @property
    def _pooled_latency(self):
        """Cycles from `result` to its pooled words in a register."""
        return Requantizer.latency - WriteSequencer.latency + 1

    @property
    def latency(self):
        """Cycles from `result` to its write."""
        return max(self._pooled_latency, self._write_address.latency) + BankScatter.latency

    @property
    def settling(self):
        """Cycles from `result` to the last one that uses its instruction: the address of the last word."""
        return self.config.requantizers - 1

    def elaborate(self, platform):
        m = Module()
        m.submodules.window_pool = pool = WindowPool(self.config)
        m.submodules.write_address = address = self._write_address
        m.submodules.bank_scatter = scatter = BankScatter(self.config)
        result, meeting = self.result, self.latency - BankScatter.latency
        waiting = self._pooled_latency - 1
        m.d.comb += [
            pool.words.eq(self.results),
            pool.valid.eq(delayed(m, result.valid, waiting, name="valid")),
            pool.slot.eq(delayed(m, result.slot, waiting, name="slot")),
            pool.first.eq(delayed(m, result.first, waiting, name="first")),
            pool.unsigned.eq(delayed(m, self.instruction.least >= 0, waiting, name="unsigned")),
            address.instruction.eq(self.instruction),
            address.result.eq(result),
            scatter.words.eq(delayed(m, pool.pooled, meeting - waiting, name="pooled", reset_less=True)),
            scatter.targets.eq(delayed(m, address.targets, meeting - address.latency, name="targets")),
            self.writes.eq(scatter.writes),
            self.error_address.eq(address.error),
            self.error_illegal.eq(scatter.error),
        ]
        return m
