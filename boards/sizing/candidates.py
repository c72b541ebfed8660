"""The machines that may be built on a board for a network: those that its part has room for."""

from dataclasses import dataclass, replace
from itertools import product

from boards.part import Resources
from boards.sizing.demand import Demand
from boards.sizing.limits import Limits
from boards.sizing.machine import may_pack
from boards.sizing.model import estimate
from boards.system import OnChip, ProcessingSystem
from quantflow.arithmetic import MIN_BITS
from quantflow.config import Config
from quantflow.errors import UserError

LANES = (2, 4, 8, 16, 32)
MOST_PIXELS = 16
LARGE = 4_000_000  # weights
WEIGHT_DEPTHS = tuple(128 << n for n in range(7))  # where not all weights stay on the chip
LEAST_DEPTH, DEPTH_STEP = 256, 256  # words of an activation bank
PARAMETER_DEPTHS = (32, 128, 512)
MOST_SIZES = 4  # of one Shape
PROGRAM_SHARE = 1.06  # of a model's bytes and its weights', about
_EVERYTHING = {"weight_depth": 1 << 30, "parameter_depth": 1 << 20}


@dataclass(frozen=True, kw_only=True)
class Shape:
    """An array with its requantizers and memory ports; the scratchpads are not yet sized."""

    config: Config
    demand: Demand
    least_cycles: float  # for an image, below which no program comes


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A machine with what it is expected to take, its memory in block RAM included as far as it is known."""

    config: Config
    resources: Resources
    least_cycles: float


def shapes(quantized, board, batch=1):
    """The Shapes that the part's multipliers are enough for, the most promising ones first.

    UserError where the machine does not compute the network at all.
    """
    found, timing = [], board.memory
    for lanes, weight_bits in product(_lanes(quantized, board), _weight_bits(quantized)):
        base = _based(board.config, lanes=lanes, activation_bits=_activation_bits(quantized), weight_bits=weight_bits)
        if base is None:
            continue
        demand = Demand.of(quantized, base)
        for config in _arrays(replace(base, accumulator_bits=demand.accumulator_bits), board):
            least = demand.cycles(replace(config, **_EVERYTHING), timing, batch)
            found.append(Shape(config=config, demand=demand, least_cycles=least))
    order = ("multipliers", "requantizers", "beat_bits", "products_per_dsp", "lanes", "weight_bits")
    return sorted(found, key=lambda each: (each.least_cycles, *(getattr(each.config, name) for name in order)))


def sized(shape, board, batch=1):
    """The Candidates of a Shape, with scratchpads for all weights and maps, or for as many as there is room.

    There are at most MOST_SIZES, of which none has less of everything than another; those with room for most maps
    come first, then those for most weights.
    """
    limits, demand, found = Limits.of(board), shape.demand, []
    if not limits.lut_and_dsp_fit(estimate(replace(shape.config, activation_depth=LEAST_DEPTH), limits.family)):
        return []
    try:
        whole, input_bytes = demand.maps_on_chip(shape.config)
    except UserError:  # of maps whose columns this array cannot read or write
        return []
    whole = _rounded(whole, DEPTH_STEP)
    for weight_depth, parameter_depth in _depths(demand):
        config = replace(shape.config, weight_depth=weight_depth, parameter_depth=parameter_depth)
        memory_bytes = round(PROGRAM_SHARE * demand.weight_bytes(config)) + input_bytes
        depth = limits.activation_depth(config, memory_bytes, whole, LEAST_DEPTH, DEPTH_STEP)
        if depth is None or any(_covers(each.config, config, depth) for each in found):
            continue
        config = replace(config, activation_depth=depth)
        used = limits.with_memory(estimate(config, limits.family), config, memory_bytes)
        if not limits.fits(used):
            continue
        least = max(shape.least_cycles, demand.cycles(config, replace(board, config=config).memory, batch))
        found.append(Candidate(config=config, resources=used, least_cycles=least))
    found.sort(
        key=lambda each: (-each.config.activation_depth, -each.config.weight_depth, -each.config.parameter_depth)
    )
    return found[:MOST_SIZES]


def _covers(config, other, depth):
    """Whether `config` has as much of each scratchpad as `other` with banks of `depth` words."""
    names = ("weight_depth", "parameter_depth")
    return config.activation_depth >= depth and all(getattr(config, name) >= getattr(other, name) for name in names)


def _depths(demand):
    """(weight depth, parameter depth) from all that there are down to few."""
    weights, parameters = _rounded(demand.weight_words, 128), _rounded(demand.parameter_words, 16)
    few = [depth for depth in reversed(PARAMETER_DEPTHS) if depth < parameters]
    ladder = [depth for depth in reversed(WEIGHT_DEPTHS) if depth < weights]
    parts = [min(parameters, PARAMETER_DEPTHS[-1]), *few]
    return [(weights, parameters), *product(ladder, dict.fromkeys(parts))]


def is_large(quantized):
    """Whether lowering and compiling a network takes so long that only few machines are looked at."""
    return sum(layer.weight.size for layer in quantized.layers.values()) >= LARGE


def _lanes(quantized, board):
    """Numbers of lanes that the part may have the multipliers for; of a large network only the two largest."""
    found = [lanes for lanes in LANES if lanes * lanes <= 2 * board.resources.dsp]
    return found[-2:] if is_large(quantized) else found


def _weight_bits(quantized):
    """The width of the widest weight, and 8 bits: a wider multiplier may need fewer passes for a residual."""
    widest = max((MIN_BITS, *(layer.weight_bits for layer in quantized.layers.values())))
    return sorted({widest, max(widest, 8)})


def _activation_bits(quantized):
    formats = [quantized.input, *(quantized.output_format(layer.name) for layer in quantized.network.layers)]
    return max((MIN_BITS, *(each.bits for each in formats)))


def _based(config, **parameters):
    """`config` with some fields changed and the others legal; None where that cannot be."""
    try:
        return replace(config, **{"requantizers": 1, "products_per_dsp": 1, "accumulator_bits": 48, **parameters})
    except ValueError:
        return None


def _arrays(base, board):
    """Configurations of arrays, requantizers and memory ports that the part has the multipliers for."""
    for pixels, products, (ports, port_bits) in product(range(1, MOST_PIXELS + 1), (1, 2), _ports(board)):
        if pixels * base.lanes**2 > products * board.resources.dsp:
            continue
        for requantizers in sorted({-(-pixels // drain) for drain in range(1, pixels + 1)}):
            fields = {"products_per_dsp": products, "ports": ports, "port_bits": port_bits}
            config = _based(
                base, pixels=pixels, requantizers=requantizers, accumulator_bits=base.accumulator_bits, **fields
            )
            if config is not None and (products == 1 or may_pack(config, board.part.family)):
                yield config


def _ports(board):
    """(ports, bits of one) that the board's memory system has."""
    if isinstance(board.system, ProcessingSystem):
        return [(ports, board.system.port_bits) for ports in (1, 2, 4) if ports <= board.system.ports]
    if isinstance(board.system, OnChip):
        return [(1, bits) for bits in (32, 64, 128, 256)]
    return [(board.config.ports, board.config.port_bits)]


def _rounded(number, step):
    return max(step, -(-number // step) * step)
