"""The output-stationary multiply-accumulate array."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.datapath.accumulator_bank import AccumulatorBank
from hdl.datapath.adder_tree import AdderTree
from hdl.datapath.multiplier_array import MultiplierArray
from hdl.datapath.packed_multipliers import PackedMultipliers
from hdl.layouts import Vector, accumulator_word, operand_word, product_bits, weight_word

ARRAYS = {1: MultiplierArray, 2: PackedMultipliers}  # by products_per_dsp


class MacArray(wiring.Component):
    """P * O sums over I products per step and over the steps of a group.

        accumulators[p][o] = sum over the group's steps, and over i, of
                             activations[p][i] * weights[o][i]

    A step is a cycle with `valid`; `first` and `last` mark the first and last step of a group
    (both in a group of one step). A step with `shift` begins a further pass: the sums so far are
    shifted left by config.pass_shift before its products are added. `latency` cycles after the last
    step `done` is set for one cycle, in which the accumulators hold the group's sums; the next group
    may start in the cycle behind the last step. Sums are exact modulo 2**accumulator_bits: the
    compiler proves that these suffice. No back-pressure.
    """

    def __init__(self, config):
        self.config = config
        self._multipliers = ARRAYS[config.products_per_dsp](config)
        super().__init__({
            "activations": In(Vector(operand_word(config), config.pixels)),
            "weights": In(weight_word(config)),
            "valid": In(1),
            "first": In(1),
            "shift": In(1),
            "last": In(1),
            "accumulators": Out(Vector(accumulator_word(config), config.pixels)),
            "done": Out(1),
        })

    @property
    def latency(self):
        return self._terms_latency + AccumulatorBank.latency

    @property
    def _terms_latency(self):
        return self._multipliers.latency + AdderTree.levels(self.config.lanes)

    def elaborate(self, platform):
        m = Module()
        config = self.config
        m.submodules.multipliers = multipliers = self._multipliers
        term_bits = product_bits(config) + AdderTree.levels(config.lanes)
        m.submodules.adder_tree = adder_tree = AdderTree(
            trees=config.pixels * config.lanes, leaves=config.lanes, leaf_bits=product_bits(config)
        )
        m.submodules.accumulators = accumulators = AccumulatorBank(config, term_bits=term_bits)
        # A step's marks travel beside its operands and reach the accumulators with its sums.
        mark = data.StructLayout({"valid": 1, "first": 1, "shift": 1, "last": 1})
        marks = Signal(Vector(mark, self._terms_latency))
        m.d.sync += marks.eq(Cat(self.valid, self.first, self.shift, self.last, marks))
        step = marks[self._terms_latency - 1]
        m.d.comb += [
            multipliers.activations.eq(self.activations),
            multipliers.weights.eq(self.weights),
            adder_tree.terms.eq(multipliers.products),
            accumulators.terms.eq(adder_tree.sums),
            accumulators.valid.eq(step.valid),
            accumulators.first.eq(step.first),
            accumulators.shift.eq(step.shift),
            accumulators.last.eq(step.last),
            self.accumulators.eq(accumulators.accumulators),
            self.done.eq(accumulators.done),
        ]
        return m
