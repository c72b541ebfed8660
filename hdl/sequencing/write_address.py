"""From a drain cycle's column to the banks and addresses of its words."""

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.delay import delayed
from hdl.layouts import struct_layout
from hdl.sequencing.address_arithmetic import add_position, phase_product
from hdl.sequencing.write_sequencer import result_layout
from quantflow import isa


def target_layout(config):
    """Where one word goes."""
    return data.StructLayout({"enable": 1, "bank": config.bank_bits, "address": config.activation_address_bits})


class WriteAddress(wiring.Component):
    """Bank and address of the R words of a drain cycle, k, in the destination.

        (phase, bank, group) = position + j * word_step                   for word j
        address = row_address + phase * phase_stride + group,  modulo 2**activation_address_bits

    Word j is written (`enable`) in the last position of the pooling window, if pixel k + j * D
    belongs to the group and its column to the row. `targets` follow `result` by `latency` cycles.
    A word whose address lies beyond the scratchpad is not written but makes `error` pulse with
    the targets.

    Ports: instruction In(isa.Compute); result In(result_layout); targets Out, R of target_layout;
    error Out(1).
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "instruction": In(struct_layout(isa.Compute, config)),
            "result": In(result_layout(config)),
            "targets": Out(data.ArrayLayout(target_layout(config), config.requantizers)),
            "error": Out(1),
        })

    @property
    def latency(self):
        """A cycle per addition of a word step, then product, sum and range check."""
        return self.config.requantizers - 1 + 3

    def elaborate(self, platform):
        m = Module()
        config, instruction = self.config, self.instruction
        position, errors = self.result.position, []
        excess = Signal(signed(config.phase_bits + 1))
        m.d.sync += excess.eq(instruction.word_step.phase - instruction.destination.phases - 1)
        for word in range(config.requantizers):
            if word:
                after = add_position(
                    m, position, instruction.word_step, excess, pixels=config.pixels, name=f"position_{word}"
                )
                position = delayed(m, after, 1, name=f"position_{word}")
            target, error = self._target(m, word, position)
            waiting = config.requantizers - 1 - word
            m.d.comb += self.targets[word].eq(delayed(m, target, waiting, name=f"target_{word}"))
            errors.append(delayed(m, error, waiting, name=f"error_{word}"))
        m.d.comb += self.error.eq(Cat(errors).any())
        return m

    def _target(self, m, word, position):
        """Three stages, for the position `word` cycles behind its result."""
        config, result = self.config, self.result
        column = word * config.drain_cycles
        used = Signal(name=f"used_{word}")
        sum_, product, address = (
            Signal.like(result.row_address, name=f"{name}_{word}") for name in ("sum", "product", "address")
        )
        target, error = Signal(target_layout(config), name=f"target_{word}"), Signal(name=f"error_{word}")
        row_address = delayed(m, result.row_address, word, name=f"row_address_{word}")
        m.d.comb += used.eq(
            result.valid & result.last & (result.slot + column < config.pixels) & (result.columns_left > column)
        )
        used = delayed(m, used, word + 2, name=f"used_{word}")
        m.d.sync += [
            sum_.eq(row_address + position.group),
            product.eq(phase_product(position.phase, self.instruction.destination.phase_stride)),
            address.eq(sum_ + product),
            target.enable.eq(used & (address < config.activation_depth)),
            target.bank.eq(delayed(m, position.bank, 2, name=f"bank_{word}")),
            target.address.eq(address),
            error.eq(used & (address >= config.activation_depth)),
        ]
        return target, error
