"""The tuner's choices and the integers made for them; what was chosen anew by hand, and what follows from it.

`network.json` holds the choices: bits and fractional lengths (fl) of the input, the weights and the outputs, and
whether numbers are signed. `tensors.npz` holds the integers and, again, the choices that they were made for:

    input            [bits, fl, signed] of the network's input
    i.output         the same of layer i's output
    i.weight_bits    of layer i's weights, and i.weight_fl [O]
    i.bias_fl        [O]: the accumulator's fl, at which layer i's bias is

Where the two differ, a person has edited `network.json`, and the choice there is kept. Weights whose bits or fl
were chosen anew are rounded to nearest from the float weights. A bias whose accumulator's fl has changed, be it
by the weights or by the input, keeps its value: integer * 2**-fl is rounded anew, so that a correction stays in.
"""

import numpy as np

from quantflow.accumulation import MAX_ACCUMULATOR_BITS, accumulator_fl, sum_bits, sums_fl
from quantflow.arithmetic import MAX_BITS, MIN_BITS, Format
from quantflow.quantized import REQUANTIZED, WEIGHTED, QuantizedLayer
from quantflow.tuned_file.alignment import MAX_BIAS, check_output, check_weight_fl, lengths, realigned, round_anew
from quantflow.tuned_file.record import MAX_FL, title
from quantflow.tuned_file.tensors import integers

LISTED = 8  # channels that are named one by one


def write_format(format):
    """The entries of a Format."""
    return {"bits": format.bits, "fl": int(format.fl), "signed": bool(format.signed)}


def write_choices(quantized, layer):
    """The entries for the layer's choices: none for a layer that only moves values."""
    choices = {}
    if isinstance(layer, WEIGHTED):
        integers_ = quantized.layers[layer.name]
        choices["weight"] = {"bits": integers_.weight_bits, "fl": _short(integers_.weight_fl)}
    if isinstance(layer, WEIGHTED + REQUANTIZED):
        choices["output"] = write_format(quantized.output_format(layer.name))
    return choices


def format_array(format):
    """[bits, fl, signed] as in `tensors.npz`."""
    return np.array([format.bits, format.fl, format.signed], np.int32)


def choice_arrays(quantized, layer, index):
    """The layer's integers and the choices that they are made for, by their names in `tensors.npz`."""
    arrays = {}
    if isinstance(layer, WEIGHTED):
        entry = quantized.layers[layer.name]
        arrays = {
            "weight": entry.weight.astype(Format(bits=entry.weight_bits, fl=0).dtype),
            "weight_bits": np.int32(entry.weight_bits),
            "weight_fl": entry.weight_fl.astype(np.int32),
            "bias": entry.bias.astype(np.int64),
            "bias_fl": accumulator_fl(quantized, layer),
        }
    if isinstance(layer, WEIGHTED + REQUANTIZED):
        arrays["output"] = format_array(quantized.output_format(layer.name))
    return {f"{index}.{name}": array for name, array in arrays.items()}


def read_input(record, tensors):
    """The input's Format from its record, and the edits in it."""
    format = record.format()
    return format, _format_edits(record, tensors, "input", "the input:", format)


def read_choices(record, layer, quantized, tensors, index):
    """Put the layer's integers or format into `quantized`, which has those of earlier layers; returns the edits."""
    if not isinstance(layer, WEIGHTED + REQUANTIZED):
        return []
    inner = record.record("output")
    output = inner.format()
    inner.finish()
    edits = _format_edits(record, tensors, f"{index}.output", f"layer {title(layer.name)}: output", output)
    if isinstance(layer, WEIGHTED):
        edits = _read_weights(record, layer, quantized, output, tensors, index) + edits
    else:
        quantized.formats[layer.name] = output
        check_output(record, accumulator_fl(quantized, layer), output)
    bits = sum_bits(quantized, layer)
    if bits > MAX_ACCUMULATOR_BITS:
        record.fail(f"its sums need an accumulator of {bits} bits, more than {MAX_ACCUMULATOR_BITS}")
    return edits


def _read_weights(record, layer, quantized, output, tensors, index):
    channels = layer.output_shape[0]
    bits, fl = _weight_choice(record.record("weight"), channels)
    made_bits = int(integers(record, tensors, f"{index}.weight_bits", (), MIN_BITS, MAX_BITS))
    made_fl = integers(record, tensors, f"{index}.weight_fl", (channels,), -MAX_FL, MAX_FL)
    made = Format(bits=made_bits, fl=0)
    weight = integers(record, tensors, f"{index}.weight", layer.weight.shape, made.min, made.max, np.int32)
    bias = integers(record, tensors, f"{index}.bias", (channels,), ~MAX_BIAS, MAX_BIAS)
    bias_fl = integers(record, tensors, f"{index}.bias_fl", (channels,), -2 * MAX_FL, 2 * MAX_FL)
    anew = (fl != made_fl) | (bits != made_bits)
    saturating = round_anew(layer.weight, weight, anew, bits, fl)
    formats = [quantized.output_format(name) for name in layer.inputs]
    check_weight_fl(record, fl, formats, output, bool(anew.any()))
    quantized.layers[layer.name] = QuantizedLayer(
        name=layer.name,
        weight_bits=bits,
        weight=weight,
        weight_fl=fl.astype(np.int32),
        bias=realigned(record, bias, bias_fl, sums_fl(fl, *formats)),
        output=output,
    )
    return _weight_edits(layer, (bits, fl), (made_bits, made_fl), saturating)


def _weight_choice(record, channels):
    """Bits, and fl [O] as int64, of the weights; `fl` is one number for all channels or one for each."""
    bits = record.integer("bits", MIN_BITS, MAX_BITS)
    if isinstance(record.value("fl"), list):
        fl = record.integers("fl", channels, -MAX_FL, MAX_FL)
    else:
        fl = [record.integer("fl", -MAX_FL, MAX_FL)] * channels
    record.finish()
    return bits, np.array(fl, np.int64)


def _format_edits(record, tensors, name, place, format):
    made = integers(record, tensors, name, (3,), -MAX_FL, MAX_FL)
    made = dict(zip(("bits", "fl", "signed"), made.tolist(), strict=True)) | {"signed": bool(made[2])}
    return [
        f"{place} {key} {_shown(value)} was set by hand (tuned: {_shown(made[key])})"
        for key, value in write_format(format).items()
        if value != made[key]
    ]


def _weight_edits(layer, chosen, made, saturating):
    (bits, fl), (made_bits, made_fl) = chosen, made
    place, edits = f"layer {title(layer.name)}: weight", []
    rounded = "rounded anew" + (f", {saturating} of them saturating" if saturating else "")
    if bits != made_bits:
        edits.append(f"{place} bits {bits} was set by hand (tuned: {made_bits}); its weights are {rounded}")
    changed = np.flatnonzero(fl != made_fl)
    if len(changed) == len(fl):
        edits.append(f"{place} fl {lengths(fl)} was set by hand (tuned: {lengths(made_fl)}); its weights are {rounded}")
    elif len(changed):
        few = len(changed) <= LISTED
        which = f"channels {', '.join(map(str, changed))}" if few else f"{len(changed)} of {len(fl)} channels"
        edits.append(f"{place} fl of {which} was set by hand; their weights are {rounded}")
    return edits


def _short(fl):
    """One number where all channels have the same."""
    values = np.unique(fl)
    return int(values[0]) if len(values) == 1 else fl.tolist()


def _shown(value):
    return str(value).lower()
