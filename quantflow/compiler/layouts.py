"""Where the words of a feature map lie, relative to its first one: in the activation banks and in memory alike."""

from dataclasses import dataclass, replace

from quantflow.compiler.stage import blocks
from quantflow.isa import Map, Position


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Rows of banks that a map of [blocks, height, width] words takes, its columns in `phases` phases on P banks.

    [row][block][phase][group], or [block][row][phase][group] where `block_major`, which keeps the rows of a
    block together for those who write or read only some of the blocks.
    """

    blocks: int
    height: int
    width: int
    phases: int  # S: column x is phase x mod S of bank (x div S) mod P
    pixels: int  # P
    block_major: bool = False

    @property
    def groups(self):
        """Words that one row takes in each bank, for each block and phase."""
        units = -(-self.width // self.phases)
        return -(-units // self.pixels)

    @property
    def line(self):
        """Addresses of one row of one block."""
        return self.phases * self.groups

    @property
    def words(self):
        """Addresses of the whole map."""
        return self.blocks * self.height * self.line

    @property
    def row_stride(self):
        return self.line if self.block_major else self.blocks * self.line

    @property
    def block_stride(self):
        return self.height * self.line if self.block_major else self.line

    def part(self, *, rows, block_count):
        """The layout of a buffer for some rows and blocks."""
        return replace(self, height=rows, blocks=block_count)

    def position(self, column):
        """Mixed-radix digits of a column, which may be negative."""
        unit, phase = divmod(column, self.phases)
        group, bank = divmod(unit, self.pixels)
        return Position(phase=phase, bank=bank, group=group)

    def column(self, x):
        """(bank, address within the row) of a column that exists."""
        digits = self.position(x)
        return digits.bank, digits.phase * self.groups + digits.group


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Rows and blocks of a map in the activation banks, the first of them at `address`."""

    layout: Layout  # of what is there
    address: int
    first_row: int = 0  # of the map
    first_block: int = 0

    def at(self, row, block):
        """Address of a row and block of the map, which may lie outside of what is there."""
        rows, ahead = row - self.first_row, block - self.first_block
        return self.address + rows * self.layout.row_stride + ahead * self.layout.block_stride

    def map(self, row, block, config, *, rows_apart=1, shift=0):
        """The instruction's view from a row and block on, `shift` words further; every `rows_apart`-th row."""
        address = self.at(row, block) + shift
        return Map(
            address=address % (1 << config.activation_address_bits),
            row_stride=rows_apart * self.layout.row_stride,
            block_stride=self.layout.block_stride,
            phase_stride=self.layout.groups if config.phase_bits else 0,
            phases=self.layout.phases,
        )

    def interval(self, first_row, rows, first_block, block_count):
        """[low, high) of the addresses from the first to the last word of some rows and blocks of the map."""
        low = self.at(first_row, first_block)
        return low, self.at(first_row + rows - 1, first_block + block_count - 1) + self.layout.line


def layout_of(feature_map, phases, config):
    """The layout of a whole `FeatureMap`."""
    channels, height, width = feature_map.shape
    return Layout(
        blocks=blocks(channels, config.lanes), height=height, width=width, phases=phases, pixels=config.pixels
    )
