"""How much the network's output suffers where one layer's weights, or one map, get another width.

Measured, not modelled: from a network tuned at given widths, each layer's weights are rounded anew at each of
their candidate widths, on what the layer really reads, and the layers behind it run on with their integers
unchanged. What the tuner would make up for in them is left out, in all layers alike. All widths of all layers
together cost about as much time as one run of the tuner for each width.
"""

from dataclasses import replace

import numpy as np

from quantflow import float_engine
from quantflow.arithmetic import dequantize, quantize, round_half_even_shift
from quantflow.bit_widths.sensitivity import Sensitivity
from quantflow.bit_widths.widths import ACTIVATION, WEIGHT
from quantflow.errors import UserError
from quantflow.integer_engine import run_layer, working_bytes
from quantflow.quantized import MOVING, WEIGHTED
from quantflow.tuner.layers import Choice, Maps, input_maps, tune_layer
from quantflow.tuner.methods import find_method
from quantflow.tuner.room import Room

IMAGES = 128  # tuned on, at most
JUDGES = 64  # judged on, at most, and as many as fit into JUDGE_BYTES
JUDGE_BYTES = 1 << 28
WITHOUT_SIGNAL = 1.0  # noise of an output that is zero
CLIPPED_BITS = 2  # a narrower map may clip its greatest values, by so many bits at most


def sample(problem):
    """The problem with as many images as sensitivities are measured on."""
    return replace(problem, images=problem.images.first(IMAGES))


def measure(problem, widths, *, maps=True, progress=None):
    """The Sensitivity of all free slots of `problem` around `widths`; without `maps`, of weights only.

    Maps can be measured at fewer bits than they have, not at more. What the problem's Trials have of it is not
    measured again. `progress`, if given, is called as `progress(layers done, layers, layer name)`.
    """
    slots = [slot for slot in problem.space.free if maps or slot[0] == WEIGHT]
    key = problem.key("sensitivity", widths.to_json(), {str(slot): problem.space.candidates[slot] for slot in slots})
    found = Sensitivity.known(problem.space, slots, widths, problem.trials.get(key))
    if found is None:
        found = _Measurement(sample(problem), widths).run(slots, progress)
        problem.trials.put(key, found.to_json())
    return found


class _Measurement:
    """One pass through the network, with the maps that are still to be read on both sets of images."""

    def __init__(self, problem, widths):
        self.problem, self.widths, images = problem, widths, problem.images.images
        self.quantized = quantized = problem.tune(widths)
        self.network = quantized.network
        count = max(1, JUDGE_BYTES // max(map(working_bytes, self.network.layers)))
        judges = problem.held_out.images[: min(JUDGES, count)]
        self.exact = float_engine.run(self.network, judges)
        self.signal = float(np.square(self.exact, dtype=np.float64).sum()) or 1.0
        self.room = Room(problem.options.get("memory"))
        self.tuned = {self.network.input_name: input_maps(images, quantized.input, self.room)}
        self.judged = {self.network.input_name: quantize(judges, quantized.input).astype(np.float32)}
        options = problem.options
        self.method = find_method(
            options.get("method", "default"), options.get("steps"), options.get("per_channel", False)
        )

    def run(self, slots, progress):
        noise = self._noise(self.quantized, self.judged, self.network.layers)
        found = {slot: {self.widths[slot]: noise} for slot in slots}
        self._narrow(found, self.network.input_name, self.network.layers)
        for done, layer in enumerate(self.network.layers, start=1):
            behind = self.network.layers[done:]
            if isinstance(layer, WEIGHTED) and (WEIGHT, layer.name) in found:
                self._reround(found[WEIGHT, layer.name], layer, behind)
            self._advance(layer)
            if not isinstance(layer, MOVING):
                self._narrow(found, layer.name, behind)
            for name in self.network.last_reads[layer.name]:
                del self.tuned[name], self.judged[name]
            if progress is not None:
                progress(done, len(self.network.layers), layer.name)
        added = {slot: _rising(values, self.widths[slot]) for slot, values in found.items()}
        return Sensitivity(widths=self.widths, noise=noise, added=added)

    def _reround(self, noise, layer, behind):
        """Fills in the noise with the layer's weights at each candidate width."""
        sources = [self.tuned[name] for name in layer.inputs]
        output = self.quantized.output_format(layer.name)
        rest = {name: entry for name, entry in self.quantized.layers.items() if name != layer.name}
        others = replace(self.quantized, layers=rest)
        for bits in self.problem.space.candidates[WEIGHT, layer.name]:
            if bits in noise:
                continue
            fields = {"weight_bits": bits, "activation_bits": output.bits, "unsigned": not output.signed}
            choice = Choice(method=self.method, output=output, **fields)
            try:
                variant, _ = tune_layer(others, layer, sources, choice, self.room)
                noise[bits] = self._noise(variant, self.judged, (layer, *behind))
            except UserError:  # its sums are too coarse for the output that the others have
                noise[bits] = WITHOUT_SIGNAL

    def _narrow(self, found, name, behind):
        """Fills in the noise with the map `name` at each narrower candidate width."""
        slot = ACTIVATION, name
        for bits in self.problem.space.candidates[slot] if slot in found else ():
            if bits < self.widths[slot]:
                shift = self._shift(name, bits)
                narrowed = _coarse(self.judged[name], self.quantized.output_format(name), bits, shift)
                found[slot][bits] = self._noise(self.quantized, {**self.judged, name: narrowed}, behind)

    def _shift(self, name, bits):
        """How many bits coarser the narrower map should be, by the squared error on the images tuned on."""
        format, maps = self.quantized.output_format(name), self.tuned[name]
        least = max(0, format.bits - bits - CLIPPED_BITS)

        def error(shift):
            values = dequantize(_coarse(maps.fixed, format, bits, shift), format)
            return np.square(values - maps.exact).sum()

        return min(range(least, format.bits - bits + 1), key=error)

    def _advance(self, layer):
        """Adds the layer's maps, on both sets of images."""
        sources = [self.tuned[name] for name in layer.inputs]
        self.tuned[layer.name] = Maps(
            exact=float_engine.apply(layer, *(source.exact for source in sources)),
            fixed=self._integers(layer, *(source.fixed for source in sources)),
        )
        self.judged[layer.name] = self._integers(layer, *(self.judged[name] for name in layer.inputs))

    def _integers(self, layer, *maps):
        dtype = maps[0].dtype if isinstance(layer, MOVING) else None
        integers = run_layer(self.quantized, layer, *maps)
        if maps[0].dtype == np.float32:
            return integers.astype(np.float32, copy=False)
        return integers.astype(dtype or self.quantized.output_format(layer.name).dtype)

    def _noise(self, quantized, maps, layers):
        """Squared error of the output over its power, the `layers` being run from `maps`."""
        maps = dict(maps)
        for layer in layers:
            integers = run_layer(quantized, layer, *(maps[name] for name in layer.inputs))
            maps[layer.name] = integers.astype(np.float32, copy=False)
            for name in self.network.last_reads[layer.name]:
                del maps[name]
        last = self.network.layers[-1].name
        output = dequantize(maps[last], quantized.output_format(last))
        return float(np.square(output - self.exact).sum()) / self.signal


def _coarse(integers, format, bits, shift):
    """Integers of `format` rounded to what `bits` bits hold, `shift` bits coarser; still integers of `format`."""
    rounded = round_half_even_shift(integers.astype(np.float32), shift)
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if format.signed else (0, (1 << bits) - 1)
    return np.clip(np.ldexp(np.clip(rounded, low, high), shift), format.min, format.max).astype(integers.dtype)


def _rising(noise, own):
    """Noise by width as what it adds to that at the width `own`, never less for fewer bits, in rising order."""
    widths = sorted(noise)
    added, highest = {own: 0.0}, 0.0
    for bits in reversed([bits for bits in widths if bits < own]):
        highest = added[bits] = max(highest, noise[bits] - noise[own])
    lowest = 0.0
    for bits in [bits for bits in widths if bits > own]:
        lowest = added[bits] = min(lowest, noise[bits] - noise[own])
    return dict(sorted(added.items()))
