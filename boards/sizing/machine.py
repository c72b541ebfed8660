"""What a machine consists of, as far as it decides what it takes of an FPGA: its memories, multipliers and terms."""

from boards.sizing.memories import Memory
from hdl.instructions.fetch import PREFETCH
from quantflow import isa
from quantflow.config import MULTIPLIER_BITS

# The wider operand of a family's multiplier block, in bits.
OPERAND_BITS = {"xilinx-7": MULTIPLIER_BITS, "ecp5": 18, "gowin": 18, "ice40": 16}


def memories(config):
    """The memories of a machine; those read in the cycle of their address are distributed RAM always."""
    words = PREFETCH * isa.instruction_bits(config) // config.beat_bits - 1  # the FIFO's last word is a register
    return (
        Memory(
            name="activations",
            words=config.activation_depth,
            bits=_activation_bits(config),
            dual=True,
            copies=config.pixels,
        ),
        Memory(name="weights", words=config.weight_depth, bits=config.lanes**2 * config.weight_bits),
        Memory(name="parameters", words=config.parameter_depth, bits=config.lanes * config.parameter_record_bits),
        Memory(name="fetch", words=words, bits=config.beat_bits),
        *((Memory(name="profile", words=config.profile_depth, bits=32),) if config.profile_depth else ()),
    )


def may_pack(config, family):
    """Whether a multiplier block of the family takes two of the machine's weights in one operand."""
    return config.packed_weight_bits <= OPERAND_BITS[family]


def dsp_blocks(config):
    """Multiplier blocks: one for each product, or for two."""
    return config.multipliers // config.products_per_dsp


def terms(config):
    """What a machine's look-up tables and flip-flops grow with, by name.

    tree         bits of the adder trees' sums
    sums         bits of the accumulators; the register bank behind them has as many
    requantizer  bits of the sums that are requantized in a cycle
    pixels       bits of a row of activation words, which the vector unit holds and loads and stores move
    rotation     those times the levels of the multiplexers that bring words to their pixels, and back
    weights      bits of a weight word, which is put together of beats
    beats        bits of a beat
    ports        memory ports
    addresses    bits of the activation banks' addresses
    extents      bits of an instruction for the compute unit, whose loops they count
    packing      bits of the products that share a multiplier block, two by two
    """
    pixels, lanes = config.pixels, config.lanes
    row = pixels * _activation_bits(config)
    sums = [(lanes >> level, _product_bits(config) + level) for level in range(1, lanes.bit_length())]
    return {
        "machine": 1,
        "tree": pixels * lanes * sum(count * bits for count, bits in sums),
        "sums": pixels * lanes * config.accumulator_bits,
        "requantizer": config.requantizers * lanes * config.accumulator_bits,
        "pixels": row,
        "rotation": row * ((pixels - 1).bit_length() + config.requantizers - 1),
        "weights": config.lanes**2 * config.weight_bits,
        "beats": config.beat_bits,
        "ports": config.ports,
        "addresses": pixels * config.activation_address_bits,
        "extents": isa.struct_bits(isa.Compute, config),
        "packing": config.multipliers * _product_bits(config) * (config.products_per_dsp - 1),
    }


def queues(config):
    """The distributed memories: instructions waiting in front of the units."""
    return tuple(
        Memory(name=type_.__name__.lower(), words=config.queue_depth, bits=isa.struct_bits(type_, config))
        for type_ in (isa.Load, isa.Compute, isa.Store)
    )


def _activation_bits(config):
    return config.lanes * config.activation_bits


def _product_bits(config):
    return config.activation_bits + config.weight_bits
