"""What bank rows and the containers in memory mean, in Python, for the benches of load and store."""


def resize(word, count, from_bits, to_bits):
    """Sign-extend or truncate each of `count` packed two's-complement elements."""
    result = 0
    for n in range(count):
        element = (word >> (n * from_bits)) & ((1 << from_bits) - 1)
        element -= (element >> (from_bits - 1)) << from_bits
        result |= (element & ((1 << to_bits) - 1)) << (n * to_bits)
    return result


def row_to_beats(row, config):
    """A row [P][lanes], packed as it lies in the scratchpad, as beats."""
    packed = resize(row, config.pixels * config.lanes, config.activation_bits, config.activation_container_bits)
    mask = (1 << config.beat_bits) - 1
    return [(packed >> n * config.beat_bits) & mask for n in range(config.bank_row_beats)]


def beats_to_words(beats, count, beat_bits):
    """Every `count` beats as one integer, the first lowest."""
    for first in range(0, len(beats), count):
        yield sum(beat << k * beat_bits for k, beat in enumerate(beats[first : first + count]))
