"""What a memory takes of an FPGA, by the rules by which Yosys' `memory_libmap` maps it.

Each kind of RAM has a cost in look-up tables, and the cheapest cover of a memory's words and bits is taken. Shapes and
costs are those of Yosys' `xilinx/brams_xc4v.txt`, `xilinx/lutrams_xc5v.txt`, `lattice/brams_16kd.txt`,
`lattice/lutrams_trellis.txt`, `ice40/brams.txt`, `gowin/brams.txt` and `gowin/lutrams.txt`.
"""

from dataclasses import dataclass, field

MULTIPLEXER = 0.5  # cost of a bit of the multiplexer between RAMs that lie above one another


@dataclass(frozen=True, kw_only=True)
class Ram:
    """A kind of RAM that an FPGA has; `shapes` are pairs (words, bits)."""

    shapes: tuple  # with one port that writes and one that reads
    dual_shapes: tuple = ()  # with two ports that do both
    cost: float
    blocks: float = 0  # block RAMs that one counts as
    luts: int = 0  # look-up tables that one counts as


def _shapes(words, bits):
    """Shapes of falling words and rising bits."""
    return tuple((words >> n, width) for n, width in enumerate(bits))


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A memory with one port that writes and one that reads; where `dual`, what writes can read too."""

    name: str
    words: int
    bits: int
    dual: bool = False
    copies: int = 1


@dataclass(frozen=True, kw_only=True, order=True)
class Cover:
    """What a Memory takes."""

    cost: float
    block_ram: float = field(compare=False)
    lut: int = field(compare=False)


_16K = (1, 2, 4, 9, 18)
_DISTRIBUTED_16 = Ram(shapes=((16, 4),), cost=4, luts=6)
RAMS = {
    "xilinx-7": (
        Ram(shapes=((32, 6), (64, 3)), cost=8, luts=4),
        Ram(shapes=_shapes(16384, (*_16K, 36)), dual_shapes=_shapes(16384, _16K), cost=129, blocks=0.5),
        Ram(shapes=_shapes(32768, (*_16K, 36, 72)), dual_shapes=_shapes(32768, (*_16K, 36)), cost=257, blocks=1),
    ),
    "ecp5": (
        _DISTRIBUTED_16,
        Ram(shapes=_shapes(16384, (*_16K, 36)), dual_shapes=_shapes(16384, _16K), cost=128, blocks=1),
    ),
    "gowin": (
        _DISTRIBUTED_16,
        Ram(shapes=_shapes(16384, (*_16K, 36)), dual_shapes=_shapes(16384, _16K), cost=128, blocks=1),
    ),
    "ice40": (Ram(shapes=_shapes(2048, (2, 4, 8, 16)), cost=64, blocks=1),),
}


def cover(memory, family):
    """The cheapest Cover of a Memory by the RAMs of a family, which is a key of RAMS."""
    return min(each for ram in RAMS[family] for each in _covers(memory, ram))


def block_rams(memories, family):
    """Block RAMs of some memories, rounded up to a whole one."""
    return -int(-sum(cover(memory, family).block_ram * memory.copies for memory in memories) // 1)


def _covers(memory, ram):
    """Covers by one kind of RAM; a second reader takes all of it twice where no port both reads and writes."""
    shapes, times = (ram.dual_shapes, 1) if memory.dual and ram.dual_shapes else (ram.shapes, 1 + memory.dual)
    for words, bits in shapes:
        above, beside = -(-memory.words // words), -(-memory.bits // bits)
        count = times * above * beside
        multiplexers = times * (above - 1) * memory.bits if ram.luts else 0
        yield Cover(
            cost=count * ram.cost + MULTIPLEXER * multiplexers, block_ram=count * ram.blocks, lut=count * ram.luts
        )
