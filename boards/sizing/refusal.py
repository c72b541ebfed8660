"""Why no machine of a board runs a network, and what would."""

from dataclasses import replace
from itertools import chain, islice

from boards.sizing.candidates import LEAST_DEPTH, shapes, sized
from boards.sizing.evaluation import attempt
from boards.sizing.limits import LUT_SHARE, Limits
from boards.sizing.model import estimate, is_measured
from quantflow.errors import UserError

TRIED = 4  # machines of another board that are compiled to see whether it fits there
NARROW = 4  # bits of weights that are proposed where memory is short


def refuse(quantized, board, batch, errors):
    """Raise the UserError that says which of a board's resources is short, and the nearest thing that fits.

    `errors` are the compiler's, of machines that the part has room for.
    """
    found = shapes(quantized, board, batch)
    smallest = min(found, key=lambda each: (each.config.multipliers, each.config.beat_bits), default=None)
    limits = Limits.of(board)
    if smallest is None:
        raise UserError(f"{board.name}: its part has too few multipliers ({limits.available.dsp}) for any machine")
    config, demand = smallest.config, smallest.demand
    used = estimate(config, limits.family)
    if not limits.lut_and_dsp_fit(used):
        raise UserError(
            f"{board.name}: the smallest machine takes {used.lut:,} look-up tables, and no more than "
            f"{LUT_SHARE:.0%} of the part's {limits.available.lut:,} may be taken{_elsewhere(quantized, board, batch)}"
        )
    if limits.on_chip:
        _refuse_memory(quantized, board, batch, config, demand, limits)
    if errors:
        raise UserError(f"{board.name}: {errors[-1]}{_elsewhere(quantized, board, batch)}")
    raise UserError(
        f"{board.name}: no scratchpads for this network fit in {limits.available.block_ram} block RAMs"
        f"{_elsewhere(quantized, board, batch)}"
    )


def _refuse_memory(quantized, board, batch, config, demand, limits):
    """Raise where weights and input alone, with a machine's least memories, are too much for the part's block RAM."""
    try:
        _, input_bytes = demand.maps_on_chip(config)
    except UserError:
        return
    weights, available = demand.weight_bytes(config), limits.available.block_ram
    config = replace(config, activation_depth=LEAST_DEPTH, weight_depth=128, parameter_depth=32)
    least = estimate(config, limits.family)
    needed = limits.with_memory(least, config, weights + input_bytes).block_ram
    if needed <= available:
        return
    widest = max((layer.weight_bits for layer in quantized.layers.values()), default=NARROW)
    narrow = limits.with_memory(least, config, weights * NARROW // widest + input_bytes).block_ram
    raise UserError(
        f"{board.name}: {needed:,} of {available:,} block RAMs are needed for weights of {weights:,} bytes, an input "
        f"of {input_bytes:,} bytes and the smallest machine"
        + (
            f"; with {NARROW}-bit weights it would be {narrow:,}"
            if widest > NARROW and narrow <= available
            else _elsewhere(quantized, board, batch)
        )
    )


def _elsewhere(quantized, board, batch):
    """The smallest other known board on which it was seen to fit, in words."""
    import boards

    for other in sorted(boards.all_boards(), key=lambda each: each.resources.lut):
        if other.name == board.name or other.resources.lut < board.resources.lut or not is_measured(other.part.family):
            continue
        found = chain.from_iterable(sized(shape, other, batch) for shape in shapes(quantized, other, batch))
        for candidate in islice(found, TRIED):
            result = attempt(quantized, other, candidate.config, batch)
            if not isinstance(result, UserError) and result.fits:
                return f"; it fits {other.name}"
    return "; it was found to fit no other known board"
