"""The instruction set: the one layout that compiler, emulator and decoder read.

Each instruction is a frozen dataclass; its fields' widths follow from the configuration, and its
docstring is the loop nest that it performs. All instructions of a machine have the same size,
`instruction_bits(config)`, a whole number of beats; a field's bits lie from the least significant
bit upwards in the order of the declarations. A field that is at least 1 is stored less 1, and one
of what a machine does without has no bits and its least value. The word's highest bits are the seal
that its program gives it, see `quantflow/seal.py`. `docs/instruction_set.md` is generated from this file.
"""

from dataclasses import dataclass, field, fields
from enum import IntEnum


class Unit(IntEnum):
    """The three concurrent units. `wait` and `signal` are masks with bit `1 << unit`."""

    LOAD = 0
    COMPUTE = 1
    STORE = 2


class Opcode(IntEnum):
    """Zero is illegal, so that cleared memory is not a program."""

    LOAD = 1
    COMPUTE = 2
    STORE = 3


class Target(IntEnum):
    """The scratchpad that a load fills."""

    ACTIVATION = 0
    WEIGHT = 1
    PARAMETER = 2


class Region(IntEnum):
    """The base-address register that a memory address is relative to, and the size that bounds it."""

    MODEL = 0  # programs, parameters, weights
    INPUT = 1
    OUTPUT = 2
    WORK = 3  # feature maps that do not stay on chip


WRITABLE = (Region.OUTPUT, Region.WORK)  # by stores


class Operation(IntEnum):
    """What a compute instruction does with the taps of each output pixel."""

    CONVOLVE = 0
    MAXIMUM = 1


def _bits(width, doc, *, signed=False, where=None, least=0):
    """A field of `width` bits: a number, or the name of the configuration's property.

    It has none where the property named by `where` is false or 0. The bits of an unsigned field say by how much it is
    above `least`: without bits that is its value.
    """
    return field(metadata={"width": width, "doc": doc, "signed": signed, "where": where, "least": least})


def _struct(type_, doc, *, where=None):
    """A field that is a struct, whose fields have no bits where the property named by `where` is false or 0."""
    return field(metadata={"struct": type_, "doc": doc, "where": where})


OPCODE_BITS, UNITS = 3, len(Unit)
CHECK_BITS = 16  # of each instruction word in memory, see quantflow/seal.py
SEAL_BITS = CHECK_BITS + 1


@dataclass(frozen=True, kw_only=True)
class Position:
    """A column in a scratchpad layout of S phases on P banks, in mixed radix.

    Column x is phase `x mod S`, bank `(x div S) mod P`, group `(x div S) div P`. Adding positions
    carries from phase (radix S) to bank (radix P) to group.
    """

    phase: int = _bits("phase_bits", "x mod S")
    bank: int = _bits("bank_bits", "(x div S) mod P")
    group: int = _bits("extent_bits", "(x div S) div P, negative left of the image", signed=True)


@dataclass(frozen=True, kw_only=True)
class Map:
    """Where a feature map lies in the activation scratchpad.

    The word of row y, channel block c and column position (phase, bank, group) is in bank `bank`
    at `address + y * row_stride + c * block_stride + phase * phase_stride + group`, modulo
    2**activation_address_bits.
    """

    address: int = _bits("activation_address_bits", "word address of row 0, block 0, column 0")
    row_stride: int = _bits("activation_address_bits", "words from a row to the next")
    block_stride: int = _bits("activation_address_bits", "words from a channel block to the next")
    phase_stride: int = _bits("activation_address_bits", "words from a phase to the next", where="phase_bits")
    phases: int = _bits("phase_bits", "S", least=1)


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """What every instruction begins with.

    A unit takes an instruction from its queue, removes one token from each unit in `wait` (it
    stands still until all are there), performs it, and sends one token to each unit in `signal`.
    A unit's own bit is never set. A machine without `overlap` does one instruction after the other,
    in the program's order, and does not look at tokens.
    """

    opcode: int = field(init=False, metadata=_bits(OPCODE_BITS, "see Opcode").metadata)
    wait: int = _bits(UNITS, "mask of units to receive a token from before starting")
    signal: int = _bits(UNITS, "mask of units to send a token to when finished")


@dataclass(frozen=True, kw_only=True)
class Load(Instruction):
    """Move consecutive memory words into a scratchpad.

    Memory starts at byte `base[region] + memory_address`, `beats` beats of all ports together.

        ACTIVATION:  row n, of the same address in all banks: for b in P banks:
                         banks[b][word_address + n] = next activation word (`lanes` containers,
                                                      channel 0 lowest)
                     a row takes `bank_row_beats` whole beats, the last one filled up
        WEIGHT:      weights[word_address + n] = n-th weight word, its elements `2 << width` bits
                     wide and sign-extended; element `o * lanes + i` is the weight from
                     input channel i to output channel o
        PARAMETER:   parameters[word_address + n] = n-th parameter word: `lanes` records of
                     accumulator_bits bias, shift_bits shift + 7 (a shift to the left, by 7 at
                     the most, is a negative one) and activation_bits of the greatest result

    A feature map lies in memory as it lies in the scratchpad, so that rows of it are one run of
    addresses and a whole row of banks is moved in one cycle.
    """

    # In front what a store has, too, in the same place: a unit that does one or the other needs no multiplexer.
    region: int = _bits(2, "see Region")
    memory_address: int = _bits("memory_address_bits", "byte offset in the region, a multiple of the beat")
    beats: int = _bits("transfer_beats_bits", "beats to read, at least 1, whole rows or words")
    word_address: int = _bits("word_address_bits", "first address in the scratchpad")
    target: int = _bits(2, "see Target")
    width: int = _bits(2, "weights: elements are 2 << width bits wide in memory")

    def __post_init__(self):
        object.__setattr__(self, "opcode", int(Opcode.LOAD))


@dataclass(frozen=True, kw_only=True)
class Compute(Instruction):
    """Sums of products, or maxima, over the taps of each output pixel; max pooling may be fused behind.

        for ob in output_blocks, oy in output_rows, og in output_groups:
            best[p, o] = least activation
            for wy in window_rows, wx in window_columns:
                acc[p, o] = 0, or as the instruction before left it where `continues`
                for n in residual_passes:
                    acc <<= weight_bits - 1, unless n is 0
                    for c in residual_blocks:                                            # one cycle
                        x[p, i] = residual map at row oy, columns residual_first
                                  + (og * residual_group_step) groups, and at
                                  residual.address + ob * residual_output_block_stride
                                  + oy * residual.row_stride + c * residual.block_stride + ...
                        acc[p, o] += sum over i of x[p, i] * weights[w, o, i]
                for n in passes:
                    acc <<= weight_bits - 1, unless it is the group's first pass in this instruction,
                                             or n is 0 and the residual is `residual_aligned`
                    for ky in kernel_rows, kx in kernel_columns, c in input_blocks:      # one cycle
                        row = first_row + oy * output_row_step + wy * window_row_step
                              + ky * kernel_row_step
                        (phase, bank, group) = first + (og * output_group_step + wx * window_group_step) groups
                                               + (wx * window_phase_step) phases + kx * kernel_column_step
                        for p in pixels:
                            unit = P * group + bank + p
                            inside = 0 <= row < rows
                                     and 0 <= unit < columns + (phase < columns_remainder)
                            x[p, i] = bank (unit mod P) of the scratchpad at
                                source.address + ob * output_block_stride + oy * output_row_stride
                                + wy * window_row_stride + ky * kernel_row_stride
                                + c * source.block_stride + phase * source.phase_stride
                                + unit div P,   or nothing where not inside
                        CONVOLVE:  acc[p, o] += sum over i of x[p, i] * weights[w, o, i]
                        MAXIMUM:   acc[p, o] = max(acc[p, o], x[p, o])
                CONVOLVE:  total = acc + bias[ob, o], its lowest `dropped_bits` bits cleared
                           y = clip(round_half_even_shift(total, shift[ob, o]), least, greatest[ob, o])
                MAXIMUM:   y = max(acc, least), acc being least where no tap is inside
                best = max(best, y)
            for p in pixels with og * P + p < output_columns:
                destination[oy, og * P + p, ob] = best[p], nothing where `partial`

    Words are read as unsigned numbers where `source_unsigned` or `residual_unsigned` says so, and
    results are compared as `least` makes them: unsigned ones where it is 0 or more.

    Weight words follow one another: w begins at `weight_address` and goes up by one with each
    step of the first group; every group of an output block begins at the block's first word, and
    the next block's words follow. With `uniform` all steps of pass n, in every block, have the
    word `weight_address + n`; there is no residual then. Bias, shift and greatest result of block
    ob are in `parameters[parameter_address + ob]`.

    `source.address` is the address of row `first_row`, in front of the map where that is
    negative. Residual words exist in the columns below `output_columns`; their columns have a
    step of `residual.phases`. An instruction that `continues`, or is `partial`, has one group:
    its blocks, rows, groups and window positions are 1, its steps at least D. A `continues`
    follows a `partial` and the accumulators in between belong to nobody else. A MAXIMUM is neither
    and adds no residual. Others are illegal.

    A machine with `phase_bits` of 0 has P = S = 1: a column is a group, and the steps in groups
    are steps in columns. In others neighbouring groups of results read neighbouring groups.

    A group's results leave in D = ceil(P / R) cycles; cycle k writes the pixels k, k + D,
    k + 2 D, ..., whose columns in the destination's layout are `og * group_step + j * word_step +
    k * pixel_step` for j = 0, 1, ....

    An instruction begins when the one before it has written its last word; with `overlaps`, as
    soon as that has taken its last step. The compiler sets it where nothing that the first
    groups read is among what the last groups write.
    """

    operation: int = _bits(2, "see Operation")
    overlaps: int = _bits(1, "1: may begin while the instruction before it writes its last results")
    continues: int = _bits(1, "1: the sums of the instruction before it are not cleared")
    partial: int = _bits(1, "1: the sums stay in the accumulators, nothing is written")
    uniform: int = _bits(1, "1: one weight word for all steps of a pass")
    source_unsigned: int = _bits(1, "1: the source holds unsigned numbers")
    residual_unsigned: int = _bits(1, "1: the residual map holds unsigned numbers", where="residuals")
    least: int = _bits("activation_bits", "results are at least this", signed=True)
    dropped_bits: int = _bits(5, "lowest bits of the sums that are cleared before the shift")
    source: Map = _struct(Map, "the map read")
    rows: int = _bits("extent_bits", "rows of the source that exist")
    columns: int = _bits("extent_bits", "columns of the source div its phases")
    columns_remainder: int = _bits("phase_bits", "columns of the source mod its phases")
    first_row: int = _bits("extent_bits", "row of the first tap: minus the padding above", signed=True)
    first: Position = _struct(Position, "column of the first tap: minus the padding on the left")
    output_blocks: int = _bits("extent_bits", "blocks of output channels", least=1)
    output_rows: int = _bits("extent_bits", "rows written", least=1)
    output_groups: int = _bits("extent_bits", "groups of P columns written", least=1)
    output_columns: int = _bits("extent_bits", "columns written")
    output_group_step: int = _bits("column_step_bits", "source groups from a group of results to the next", least=1)
    window_rows: int = _bits(4, "rows of the fused pooling window; 1 without pooling", least=1)
    window_columns: int = _bits(4, "columns of the fused pooling window; 1 without pooling", least=1)
    passes: int = _bits(3, "digits of the weights, the highest first; 1 for MAXIMUM", least=1)
    kernel_rows: int = _bits("extent_bits", "kernel rows", least=1)
    kernel_columns: int = _bits("extent_bits", "kernel columns", least=1)
    input_blocks: int = _bits("extent_bits", "blocks of input channels summed for a result; 1 for MAXIMUM", least=1)
    output_block_stride: int = _bits("activation_address_bits", "words that the source moves on with an output block")
    output_row_step: int = _bits(6, "source rows from an output row to the next")
    output_row_stride: int = _bits("activation_address_bits", "output_row_step in words")
    window_row_step: int = _bits(4, "source rows from a window row to the next")
    window_row_stride: int = _bits("activation_address_bits", "window_row_step in words")
    window_phase_step: int = _bits("phase_bits", "source columns from a window column to the next, below S")
    window_group_step: int = _bits("column_step_bits", "source groups from a window column to the next")
    kernel_row_step: int = _bits(6, "source rows from a kernel row to the next: the dilation")
    kernel_row_stride: int = _bits("activation_address_bits", "kernel_row_step in words")
    kernel_column_step: Position = _struct(Position, "source columns from a kernel column to the next")
    residual: Map = _struct(Map, "the map added; its address is that of its first row read", where="residuals")
    residual_passes: int = _bits(3, "digits of the residual's weights; 0: none is added", where="residuals")
    residual_aligned: int = _bits(
        1, "1: no shift between the residual's last pass and the first of the others", where="residuals"
    )
    residual_blocks: int = _bits(
        "extent_bits", "blocks of the residual summed for a result", where="residuals", least=1
    )
    residual_first: Position = _struct(
        Position, "column of the residual that pixel 0 of group 0 reads", where="residuals"
    )
    residual_group_step: int = _bits(
        "column_step_bits", "residual groups from a group of results to the next", where="residuals", least=1
    )
    residual_output_block_stride: int = _bits(
        "activation_address_bits", "words that the residual moves on with an output block", where="residuals"
    )
    weight_address: int = _bits("weight_address_bits", "first weight word")
    parameter_address: int = _bits("parameter_address_bits", "parameter word of output block 0")
    destination: Map = _struct(Map, "the map written; its address is that of the first row written")
    first_written: Position = _struct(Position, "column of the destination that pixel 0 of group 0 writes")
    group_step: Position = _struct(Position, "P written columns in the destination's layout")
    word_step: Position = _struct(Position, "D written columns in the destination's layout", where="several_pixels")
    pixel_step: Position = _struct(Position, "one written column in the destination's layout", where="several_pixels")

    def __post_init__(self):
        object.__setattr__(self, "opcode", int(Opcode.COMPUTE))


@dataclass(frozen=True, kw_only=True)
class Store(Instruction):
    """Move rows of the activation banks to consecutive memory words, as `Load` reads them.

    Memory starts at byte `base[region] + memory_address`, `beats` beats of all ports together. The
    regions that are written are OUTPUT and WORK.
    """

    region: int = _bits(2, "see Region")
    memory_address: int = _bits("memory_address_bits", "byte offset in the region, a multiple of the beat")
    beats: int = _bits("transfer_beats_bits", "beats to write, at least 1, whole rows")
    word_address: int = _bits("word_address_bits", "first address in the banks")

    def __post_init__(self):
        object.__setattr__(self, "opcode", int(Opcode.STORE))


INSTRUCTIONS = {Opcode.LOAD: Load, Opcode.COMPUTE: Compute, Opcode.STORE: Store}


def field_bits(field_, config):
    """Width of a field under `config`, a struct's included; 0 where the machine does without it."""
    config = _config_of(field_, config)
    if config is None:
        return 0
    if "struct" in field_.metadata:
        return struct_bits(field_.metadata["struct"], config)
    width = field_.metadata["width"]
    return getattr(config, width) if isinstance(width, str) else width


def field_range(field_, config):
    """(least, greatest) value of a plain field under `config`: one value twice where it has no bits."""
    bits = field_bits(field_, config)
    least = -(1 << (bits - 1)) if bits and field_.metadata["signed"] else field_.metadata["least"]
    return least, least + (1 << bits) - 1


def struct_of(field_, config):
    """(type, configuration) of a field that is a struct, None for a plain one.

    The configuration of a struct that the machine does without is None: none of its fields has bits then.
    """
    return (field_.metadata["struct"], _config_of(field_, config)) if "struct" in field_.metadata else None


def _config_of(field_, config):
    where = field_.metadata["where"]
    return config if config is not None and (where is None or getattr(config, where)) else None


def struct_bits(type_, config):
    """Width of an instruction or struct: the sum of its fields' widths."""
    return sum(field_bits(f, config) for f in fields(type_))


def instruction_bits(config):
    """Size of every instruction: the widest one's fields and the seal, rounded up to whole beats."""
    widest = max(struct_bits(type_, config) for type_ in INSTRUCTIONS.values()) + SEAL_BITS
    return -(-widest // config.beat_bits) * config.beat_bits


def encode(instruction, config):
    """The instruction as a non-negative integer; ValueError names a field out of range."""
    word, offset = 0, 0
    for f in fields(instruction):
        value, bits, struct = getattr(instruction, f.name), field_bits(f, config), struct_of(f, config)
        if struct is not None:
            value = encode(value, struct[1])
        else:
            _check(instruction, f, config)
            value -= f.metadata["least"]
        word |= (int(value) & ((1 << bits) - 1)) << offset
        offset += bits
    return word


def _check(instruction, field_, config):
    (low, high), value = field_range(field_, config), getattr(instruction, field_.name)
    if not low <= value <= high:
        name = f"{type(instruction).__name__.lower()}.{field_.name}"
        raise ValueError(f"{name} is {low} to {high} in this configuration, not {value}")


def decode(word, config):
    """The instruction that an integer encodes; ValueError for an opcode that does not exist."""
    opcode = word & ((1 << OPCODE_BITS) - 1)
    if opcode not in INSTRUCTIONS:
        raise ValueError(f"opcode {opcode} does not exist")
    return _decode_struct(INSTRUCTIONS[opcode], word, config)


def _decode_struct(type_, word, config):
    values = {}
    for f in fields(type_):
        bits, struct = field_bits(f, config), struct_of(f, config)
        value = word & ((1 << bits) - 1)
        values[f.name] = _decode_struct(struct[0], value, struct[1]) if struct else _number(f, value, bits)
        word >>= bits
    values.pop("opcode", None)
    return type_(**values)


def _number(field_, value, bits):
    """What the bits of a plain field stand for."""
    if bits and field_.metadata["signed"]:
        return value - (value >> (bits - 1) << bits)
    return value + field_.metadata["least"]
