"""What of a part a machine may take."""

from dataclasses import dataclass, replace

from boards.part import Resources
from boards.sizing.machine import memories
from boards.sizing.memories import Memory, block_rams, cover
from boards.system import OnChip
from hdl.system.storage import COLUMN_BITS, bank_sizes

LUT_SHARE = 0.8  # of the part's look-up tables and flip-flops: fuller parts are hard to place and route
SYSTEM_LUT, SYSTEM_FF = 1_350, 580  # of serial link and memory control beside the machine, by Yosys with 300 KB


@dataclass(frozen=True, kw_only=True)
class Limits:
    """A board's room for machines."""

    family: str
    available: Resources
    on_chip: bool  # whether the machine's memory is block RAM

    @classmethod
    def of(cls, board):
        return cls(family=board.part.family, available=board.part.resources, on_chip=isinstance(board.system, OnChip))

    def lut_and_dsp_fit(self, used):
        most = self.available
        return used.dsp <= most.dsp and used.lut <= LUT_SHARE * most.lut and used.ff <= LUT_SHARE * most.ff

    def fits(self, used):
        return self.lut_and_dsp_fit(used) and used.block_ram <= self.available.block_ram

    def share(self, used):
        """The largest share of any resource, with the others' shares behind it in their order."""
        names = ("lut", "dsp", "block_ram")
        return sorted((getattr(used, name) / max(1, getattr(self.available, name)) for name in names), reverse=True)

    def activation_depth(self, config, memory_bytes, wanted, least, step):
        """The most words, at most `wanted`, of activation banks that fit beside the other memories; None if none do."""
        others = [memory for memory in memories(config) if memory.name != "activations"]
        others += self._memory(config, memory_bytes)
        room = self.available.block_ram - block_rams(others, self.family)

        def fits(depth):
            (banks,) = (
                each for each in memories(replace(config, activation_depth=depth)) if each.name == "activations"
            )
            return cover(banks, self.family).block_ram * banks.copies <= room

        low, high = 0, -(-wanted // step)
        if fits(wanted):
            return wanted
        while low < high:
            middle = -(-(low + high) // 2)
            low, high = (middle, high) if fits(middle * step) else (low, middle - 1)
        return low * step if low * step >= least else None

    def with_memory(self, used, config, memory_bytes):
        """`used` with what stands around the machine on the board, a memory of so many bytes in block RAM."""
        if not self.on_chip:
            return used
        return replace(
            used,
            lut=used.lut + SYSTEM_LUT,
            ff=used.ff + SYSTEM_FF,
            block_ram=used.block_ram + block_rams(self._memory(config, memory_bytes), self.family),
        )

    def _memory(self, config, memory_bytes):
        """The machine's memory, where it is block RAM: banks whose words have columns of 32 bits."""
        if not self.on_chip:
            return []
        sizes, columns = bank_sizes(-(-memory_bytes // config.beat_bytes)), config.port_bits // COLUMN_BITS
        return [Memory(name="memory", words=size, bits=COLUMN_BITS, copies=columns) for size in sizes]
