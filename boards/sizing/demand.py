"""What a network asks of a machine, known before it is compiled: cycles at least, words of weights, rows of maps."""

from dataclasses import dataclass, replace

from quantflow.compiler.allocation import Item, allocate
from quantflow.compiler.layouts import layout_of
from quantflow.compiler.lowering import lower
from quantflow.compiler.phases import choose_columns
from quantflow.compiler.tiles import views, weight_beats
from quantflow.compiler.weights import parameter_words, total_words
from quantflow.compiler.widths import sum_bits
from quantflow.isa import Operation

SPARE_BITS = 4  # accumulators have a multiple of so many bits: a network that is trained again finds some room


@dataclass(frozen=True, kw_only=True, eq=False)
class Demand:
    """A network lowered for one word size; `stages` are without their words."""

    stages: tuple
    maps: dict
    accumulator_bits: int  # that the sums need
    weight_words: int  # of all layers
    parameter_words: int

    @classmethod
    def of(cls, quantized, config):
        """The Demand of a QuantizedNetwork on machines of the `lanes` and `weight_bits` of a Config.

        Raises UserError for what the machine does not compute.
        """
        stages, maps, _ = lower(quantized, config)
        sums = [sum_bits(stage, maps, config) for stage in stages if stage.operation == Operation.CONVOLVE]
        shifts = [int(stage.shift.max()) + 1 for stage in stages if stage.operation == Operation.CONVOLVE]
        bits = max((*sums, *shifts, config.activation_bits + config.weight_bits))
        return cls(
            stages=tuple(replace(stage, words=None, bias=None, shift=None, greatest=None) for stage in stages),
            maps=maps,
            accumulator_bits=min(48, -(-bits // SPARE_BITS) * SPARE_BITS),
            weight_words=sum(map(total_words, stages)),
            parameter_words=sum(map(parameter_words, stages)),
        )

    def cycles(self, config, timing, batch=1):
        """Cycles for one image below which no program comes: the array's, or those of weights that do not stay."""
        array = sum(self._stage_cycles(stage, config, batch) for stage in self.stages)
        if self.is_resident(config):
            return array
        beats = sum(weight_beats(stage, config) for stage in self.stages) / batch
        return max(array, beats * timing.cycles_per_beat(config))

    def _stage_cycles(self, stage, config, batch):
        """Images of a batch lie side by side, so that only the last group of all of them is not full."""
        cycles = stage.cycles(config)
        if batch == 1:
            return cycles
        columns = stage.groups(config) * config.pixels
        return cycles * max(stage.output_shape[2] / columns, 1 / (stage.groups(config) * batch))

    def weight_bytes(self, config):
        """Bytes of all weights and parameters in memory; maps that do not stay on the chip come to them."""
        at_once = replace(config, weight_depth=max(1, self.weight_words) * 4)  # no layer's weights are read twice
        return sum(weight_beats(stage, at_once) for stage in self.stages) * config.beat_bytes

    def is_resident(self, config):
        return self.weight_words <= config.weight_depth and self.parameter_words <= config.parameter_depth

    def maps_on_chip(self, config):
        """(words of each activation bank that keep all maps on the chip, bytes of the first map in memory).

        Raises UserError as `choose_columns` does.
        """
        stages, maps, columns = choose_columns(self.stages, self.maps, config)
        items = []
        for name in maps:
            using = [n for n, stage in enumerate(stages) if any(view.map == name for view in views(stage).values())]
            if using:
                words = layout_of(maps[name], columns.phases[name], config).words
                items.append(Item(key=name, words=words, first=using[0], last=using[-1]))
        places = allocate(items)
        (first,) = (item.words for item in items if item.key == stages[0].source.map)
        return max(places[item.key] + item.words for item in items), first * config.bank_row_bytes
