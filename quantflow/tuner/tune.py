"""The tuner: from a float network and calibration images to fixed-point integers.

The way is that of Qiu et al., "Going Deeper with Embedded FPGA Platform for Convolutional Neural Network"
(FPGA 2016), section 5.2: weights layer by layer, data greedily from the first layer to the last. What is
chosen for, and by which steps, is the method: `tuner/methods.py`.
"""

from dataclasses import replace
from importlib import metadata

from quantflow.arithmetic import MAX_BITS, MIN_BITS
from quantflow.datasets import check_images
from quantflow.digest import digest, tuner_digest
from quantflow.errors import UserError
from quantflow.float_engine import run
from quantflow.given import quantize_given
from quantflow.quantized import WEIGHTED, QuantizedNetwork, formatted_maps
from quantflow.tuner.checkpoint import Checkpoint
from quantflow.tuner.equalization import better_equalized, may_equalize
from quantflow.tuner.joint import IMAGES as JOINT_IMAGES
from quantflow.tuner.joint import refine_together
from quantflow.tuner.layers import Choice, input_format, input_maps, tune_layer
from quantflow.tuner.methods import EQUALIZATION, JOINT, RANGE_FILLING, UNSIGNED_INPUT, UNSIGNED_MAPS, find_method
from quantflow.tuner.range_filling import fill_ranges
from quantflow.tuner.room import Room


def tune(
    network,
    calibration,
    *,
    activation_bits=8,
    weight_bits=8,
    method="default",
    steps=None,
    per_channel=False,
    memory=None,
    checkpoint=None,
    progress=None,
    record=None,
):
    """Choose every fractional length of `network` and round its numbers: a QuantizedNetwork.

    The method "paper", for each layer in order of execution: weights take the fl that minimises
    sum |W - W(bits, fl)|; biases lie at the accumulator's fl; outputs take the fl that minimises
    sum |x_float - x(bits, fl)|, x being what the fixed-point network computes from its own quantized
    outputs. The input takes the fl that minimises the same sum over the calibration images. All are looked for
    near the largest fl at which nothing overflows (`search.best_fl`). Each layer is computed once; its
    accumulators serve all candidates.

    The methods "max" and "mse" choose for other objectives; "default" too, and by further `steps`, names from
    `tuner.methods.steps_of(method)`: see there. The steps range-filling and equalization give the result a `network`
    of the same function with other numbers. With `per_channel` every output channel's weights have their own fl.

    Formats that the network came with (`Network.formats`, `weight_formats`) are kept: such weights are
    rounded by no step, and such a layer's bias is the given one, rounded. Where all are given nothing is
    chosen, and `calibration` may be None.

    `calibration` is float [N, C, H, W] as the network expects it. `activation_bits` and `weight_bits` are
    2 to 16, for all layers or a dict by name, the network's input among the maps. Changing no choice:

    - `memory`: how many bytes of maps may lie in memory, by default `room.MEMORY_BYTES`; others lie in
      temporary files.
    - `checkpoint`: a folder that keeps the finished layers; the same call goes on from there after an
      interruption. It stays until `remove_checkpoint`.
    - `progress`: called as `progress(done, total, layer name)` after each layer, and before the first one as
      `progress(0, total, sentence)` where a checkpoint was found, and where equalization is tried.
    - `record`: called as `record(layer name, gains)` after each layer whose weights were rounded, `gains` being
      decibels of noise at its output, relative to the float output before the activation: with "nearest"
      rounding and after each further step (`tuner/gains.py`), None where there is no noise or no signal.

    The result's `tuning` says how it was made. Raises UserError for other bit widths, methods and steps,
    unusable images, a layer that needs an accumulator of more than 48 bits, given formats that do not go
    together, and a checkpoint that cannot be written.
    """
    found = find_method(method, steps, per_channel)
    if _all_given(network):
        return replace(quantize_given(network), tuning={"method": "given", **_given(network), "quantflow": _version()})
    choices = _choices(network, found, weight_bits, activation_bits)
    calibration = check_images(calibration, network.input_shape, "the calibration set")
    options = {"method": method, "steps": list(found.steps), "per_channel": per_channel}
    widths = {"weight_bits": weight_bits, "activation_bits": activation_bits}
    known = {"calibration_images": len(calibration), **_given(network), "quantflow": _version()}
    tuning = {**options, **widths, **known}
    kept = None
    if checkpoint is not None:
        kept = Checkpoint(checkpoint, digest(network, calibration, tuning, tuner_digest()), network.layers)
        if progress is not None and kept.sentence:
            progress(0, len(network.layers), kept.sentence)
    if found.has(RANGE_FILLING) and not (network.formats or network.weight_formats):
        network = fill_ranges(network, calibration, choices)
    if found.has(EQUALIZATION) and may_equalize(network, per_channel):
        if progress is not None:
            progress(0, len(network.layers), "tuning on some images with channels as they are, and equalized")
        plain = network
        network = better_equalized(plain, calibration, lambda *sample: _tune_layers(*sample, choices, Room(memory)))
        tuning["equalized"] = network is not plain
    tuned = _tune_layers(network, calibration, choices, Room(memory), kept, progress, record)
    if found.has(JOINT):
        tuned = refine_together(tuned, calibration, run(network, calibration[:JOINT_IMAGES]))
    return replace(tuned, tuning=tuning)


def _tune_layers(network, calibration, choices, room, kept=None, progress=None, record=None):
    """All layers in order of execution, each from what the ones before it computed."""
    format = input_format(calibration, choices[network.input_name])
    tuned = QuantizedNetwork(network=network, input=format, layers={})
    maps = {network.input_name: input_maps(calibration, format, room)}
    for done, layer in enumerate(network.layers, start=1):
        tuned, maps[layer.name] = _tune_layer(tuned, layer, maps, choices[layer.name], room, kept, record)
        for name in network.last_reads[layer.name]:
            del maps[name]
        if progress is not None:
            progress(done, len(network.layers), layer.name)
    return tuned


def _tune_layer(tuned, layer, maps, choice, room, kept, record):
    """As `tune_layer`, where nothing is kept of the layer in the Checkpoint `kept`, if there is one."""
    gains, restored = {} if record is not None or kept is not None else None, None
    if kept is not None:
        tuned, restored = kept.restore(tuned, layer)
    tuned, made = tune_layer(tuned, layer, [maps[name] for name in layer.inputs], choice, room, gains)
    if kept is not None and restored is None:
        kept.save(tuned, layer, gains)
    gains = gains if restored is None else restored
    if record is not None and gains:
        record(layer.name, gains)
    return tuned, made


def _all_given(network):
    """Whether the network came with a format for every map and every layer's weights."""
    maps, weighted = _chosen(network)
    return network.formats.keys() >= set(maps) and network.weight_formats.keys() >= set(weighted)


def _given(network):
    """What the record says of formats that the network came with: names, by what they are of; nothing without any."""
    given = {"maps": list(network.formats), "weights": list(network.weight_formats)}
    return {"given": given} if any(given.values()) else {}


def _chosen(network):
    """Names of the maps that have a format of their own, the input first, and of the layers with weights."""
    return formatted_maps(network), [layer.name for layer in network.layers if isinstance(layer, WEIGHTED)]


def _choices(network, method, weight_bits, activation_bits):
    """A Choice for the input and for each layer, by name."""
    maps, weighted = _chosen(network)
    weight_bits = _widths("weight", weight_bits, weighted)
    activation_bits = _widths("activation", activation_bits, maps)
    return {
        name: Choice(
            method=method,
            weight_bits=weight_bits.get(name),
            activation_bits=activation_bits.get(name),
            unsigned=method.has(UNSIGNED_INPUT if name == network.input_name else UNSIGNED_MAPS),
            output=network.formats.get(name),
            weights=network.weight_formats.get(name),
        )
        for name in (network.input_name, *(layer.name for layer in network.layers))
    }


def _version():
    """The version of quantflow, None where it runs without having been installed."""
    try:
        return metadata.version("quantflow")
    except metadata.PackageNotFoundError:
        return None


def _widths(what, bits, names):
    """Bits by name, from one width for all or from a dict; UserError where one is missing or out of range."""
    by_name = isinstance(bits, dict)
    bits = dict(bits) if by_name else dict.fromkeys(names, bits)
    unknown = next((name for name in bits if name not in names), None)
    if unknown is not None:
        raise UserError(f"{what} bits are given for {unknown!r}, where the network has {', '.join(names)}")
    for name in names:
        if name not in bits:
            raise UserError(f"{what} bits are not given for {name}")
        if not isinstance(bits[name], int) or not MIN_BITS <= bits[name] <= MAX_BITS:
            where = f" for {name}" if by_name else ""
            raise UserError(f"{what} bits are a whole number from {MIN_BITS} to {MAX_BITS}, not {bits[name]}{where}")
    return bits
