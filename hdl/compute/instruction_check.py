"""Which compute instructions may run."""

from amaranth import Cat, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import struct_layout
from quantflow import isa

GROUP_LOOPS = ("output_blocks", "output_rows", "output_groups", "window_rows", "window_columns")


class InstructionCheck(wiring.Component):
    """Whether a compute instruction does something that `isa.Compute` describes; `latency` cycles later.

    It has an operation that exists, one group if it begins with another's sums or leaves its own, no
    residual beside uniform weights, and neither of these with a maximum. Addresses are checked where
    they are used.

    Ports: instruction In(isa.Compute); legal Out(1).
    """

    latency = 1  # the check is wide: it has a cycle of its own

    def __init__(self, config):
        self.config = config
        super().__init__({"instruction": In(struct_layout(isa.Compute, config)), "legal": Out(1)})

    def elaborate(self, platform):
        m = Module()
        instruction = self.instruction
        maximum = instruction.operation == isa.Operation.MAXIMUM
        carried = instruction.continues | instruction.partial
        adds = instruction.residual_passes != 0
        rules = (
            Cat(instruction.operation == operation for operation in isa.Operation).any(),
            ~carried | ~Cat(getattr(instruction, loop) for loop in GROUP_LOOPS).any(),
            ~adds | ~instruction.uniform,
            ~maximum | ~carried & ~adds,
        )
        m.d.sync += self.legal.eq(Cat(rules).all())
        return m
