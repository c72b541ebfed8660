"""What isa.Map and the containers in memory mean, in Python, for the benches of load and store."""

from quantflow import isa


def places(instruction, config):
    """(bank, address) of each word of a load's or store's map, in memory's order."""
    m = instruction.map
    for y in range(instruction.rows):
        for x in range(instruction.columns):
            unit, phase = divmod(x, m.phases)
            group, bank = divmod(unit, config.pixels)
            for c in range(instruction.blocks):
                address = m.address + y * m.row_stride + c * m.block_stride + phase * m.phase_stride + group
                yield bank, address % (1 << config.activation_address_bits)


def resize(word, count, from_bits, to_bits):
    """Sign-extend or truncate each of `count` packed two's-complement elements."""
    result = 0
    for n in range(count):
        element = (word >> (n * from_bits)) & ((1 << from_bits) - 1)
        element -= (element >> (from_bits - 1)) << from_bits
        result |= (element & ((1 << to_bits) - 1)) << (n * to_bits)
    return result


def random_map_fields(rng, config):
    """Fields `map`, `rows`, `columns` and `blocks`: a small map with any strides."""
    names = ("address", "row_stride", "block_stride", "phase_stride")
    strides = {name: rng.getrandbits(config.activation_address_bits) for name in names}
    return {
        "map": isa.Map(phases=rng.randint(1, 3), **strides),
        "rows": rng.randint(1, 3),
        "columns": rng.randint(1, 9),
        "blocks": rng.randint(1, 3),
    }


def words_of_map(fields):
    return fields["rows"] * fields["columns"] * fields["blocks"]
