"""What is to be chosen: a width for each layer's weights and for each feature map.

A *slot* is one such place, ("weight_bits" or "activation_bits", name); the network's input is among the maps.
"""

from dataclasses import dataclass

from quantflow.arithmetic import MAX_BITS, MIN_BITS
from quantflow.errors import UserError
from quantflow.quantized import WEIGHTED, formatted_maps

WEIGHT, ACTIVATION = "weight_bits", "activation_bits"
CANDIDATES = {WEIGHT: range(2, 9), ACTIVATION: range(4, 9)}  # of a slot that is searched


@dataclass(frozen=True, kw_only=True)
class Widths:
    """A width for every slot: what `tune` takes."""

    weight_bits: dict[str, int]  # by layer
    activation_bits: dict[str, int]  # by layer or input

    def __getitem__(self, slot):
        kind, name = slot
        return getattr(self, kind)[name]

    def changed(self, slot, bits):
        """The same with another width in one slot."""
        kind, name = slot
        return Widths(**{**vars(self), kind: {**getattr(self, kind), name: bits}})

    def to_json(self):
        return {WEIGHT: dict(self.weight_bits), ACTIVATION: dict(self.activation_bits)}


@dataclass(frozen=True, kw_only=True)
class Space:
    """The widths that each slot may take, in rising order; a fixed slot has one."""

    candidates: dict[tuple[str, str], tuple[int, ...]]

    @property
    def free(self):
        """The slots that are to be chosen."""
        return [slot for slot, widths in self.candidates.items() if len(widths) > 1]

    def widest(self):
        return self.uniform(MAX_BITS, MAX_BITS)

    def narrowest(self):
        return self.uniform(MIN_BITS, MIN_BITS)

    def uniform(self, weight_bits, activation_bits):
        """One width for all free weights and one for all free maps, or the nearest that a slot may take."""
        wanted = {WEIGHT: weight_bits, ACTIVATION: activation_bits}
        nearest = {slot: min(max(wanted[slot[0]], widths[0]), widths[-1]) for slot, widths in self.candidates.items()}
        return Widths(
            **{kind: {name: bits for (each, name), bits in nearest.items() if each == kind} for kind in wanted}
        )


def make_space(network, *, weight_bits=None, activation_bits=None, fixed=None):
    """The Space of a network: a width given holds for all slots of its kind, None leaves them to be chosen.

    `fixed` maps names to (weight bits, activation bits), each a width that goes before what is said above, or
    None. A format that the model came with is kept in any case. Raises UserError for a name that has no such
    slot and for a width that does not exist.
    """
    weighted = [layer.name for layer in network.layers if isinstance(layer, WEIGHTED)]
    mapped = formatted_maps(network)
    slots = [(WEIGHT, name) for name in weighted] + [(ACTIVATION, name) for name in mapped]
    given = {WEIGHT: weight_bits, ACTIVATION: activation_bits}
    candidates = {
        (kind, name): tuple(CANDIDATES[kind]) if given[kind] is None else (given[kind],) for kind, name in slots
    }
    for name, widths in (fixed or {}).items():
        if name not in weighted and name not in mapped:
            known = ", ".join(mapped)
            raise UserError(f"widths are given for {name!r}, where the layers that have any are {known}")
        for kind, bits in zip((WEIGHT, ACTIVATION), widths, strict=True):
            if bits is not None and (kind, name) not in candidates:
                raise UserError(f"{bits} weight bits are given for {name!r}, which has no weights")
            if bits is not None:
                candidates[kind, name] = (bits,)
    candidates |= {(WEIGHT, name): (each.bits,) for name, each in network.weight_formats.items()}
    candidates |= {(ACTIVATION, name): (each.bits,) for name, each in network.formats.items()}
    for (kind, name), widths in candidates.items():
        if not all(MIN_BITS <= bits <= MAX_BITS for bits in widths):
            what = kind.replace("_", " ")
            raise UserError(f"{what} are a whole number from {MIN_BITS} to {MAX_BITS}, not {widths[0]} for {name}")
    return Space(candidates=candidates)
