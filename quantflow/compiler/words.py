"""Loads of weights and parameters as the tiles need them."""

from quantflow.compiler.loads_and_stores import load_words
from quantflow.compiler.tiles import chunk_limit, parameter_group
from quantflow.compiler.weights import Ring, memory_width, parameter_words, sharing, total_words
from quantflow.isa import Target


class Words:
    """Where the weight and parameter words of each tile are, and what has to be loaded for that.

    Words that stay on chip lie one stage behind the other; else they are given places in two rings.
    """

    def __init__(self, stages, placement, image, config, *, load):
        self.stages, self.plans, self.resident = stages, placement.plans, placement.resident
        self.image, self.config, self.load = image, config, load
        self.weights, self.parameters = Ring(config.weight_depth), Ring(config.parameter_depth)
        self.first_weight, self.first_parameter, self.loaded = {}, {}, dict.fromkeys(range(len(stages)), 0)
        self.model = sharing(stages)  # the stage under whose number a stage's words are kept
        weight = parameter = 0
        for index in sorted(set(self.model)):
            self.first_weight[index], self.first_parameter[index] = weight, parameter
            weight, parameter = weight + total_words(stages[index]), parameter + parameter_words(stages[index])

    def chunk_most(self, index):
        """Most output blocks of a tile."""
        stage = self.stages[index]
        if self.resident:
            return stage.output_blocks
        return min(chunk_limit(stage, self.config, 4), self.group(index))

    def group(self, index):
        """Output blocks whose parameters are loaded together; no tile has some of two groups."""
        stage = self.stages[index]
        if self.resident:
            return stage.output_blocks
        return parameter_group(stage, self.plans[index].chunk_blocks, self.config)

    def needed(self, index, tile, piece):
        """(loads, weight address, parameter address) of a tile's piece."""
        stage = self.stages[index]
        if not stage.weight_words:
            return [], 0, 0
        if self.resident:
            return self._resident(index, tile)
        group = self.group(index)
        first = tile.first_block // group * group
        count = min(group, stage.output_blocks - first)
        parameter, missing = self.parameters.request((self.model[index], first), count)
        entries = self._load_parameters(index, first, count, parameter) if missing else []
        word = 0 if stage.uniform else tile.first_block * stage.weight_words + piece.first_word
        words = piece.words * (1 if stage.uniform else tile.block_count)
        weight, missing = self.weights.request((self.model[index], word), words)
        if missing:
            entries += self._load_weights(index, word, words, weight)
        return entries, weight, parameter + tile.first_block - first

    def _resident(self, index, tile):
        stage, model, entries = self.stages[index], self.model[index], []
        first, last = self.loaded[model], tile.first_block + tile.block_count
        if self.load and last > first:
            if not first:
                entries += self._load_parameters(index, 0, stage.output_blocks, self.first_parameter[model])
            self.loaded[model] = stage.output_blocks if stage.uniform else last
            words = stage.weight_words
            place = (0, words) if stage.uniform else (first * words, (last - first) * words)
            entries += self._load_weights(index, *place, self.first_weight[model] + place[0])
        word = 0 if stage.uniform else tile.first_block * stage.weight_words
        return entries, self.first_weight[model] + word, self.first_parameter[model] + tile.first_block

    def _load_parameters(self, index, first, count, address):
        beats = self.config.parameter_word_beats
        return [
            load_words(
                Target.PARAMETER,
                address,
                count,
                self.image.parameters[index] + first * beats * self.config.beat_bytes,
                count * beats,
                stage=index,
                label=f"{self.stages[index].name}: biases and shifts",
                cause="parameters",
            )
        ]

    def _load_weights(self, index, first, words, address):
        width = memory_width(self.stages[index], self.config)
        beats = self.config.weight_word_beats(width)
        return [
            load_words(
                Target.WEIGHT,
                address,
                words,
                self.image.weights[index] + first * beats * self.config.beat_bytes,
                words * beats,
                width=width.bit_length() - 2,
                stage=index,
                label=f"{self.stages[index].name}: weights",
                cause="weights",
            )
        ]
