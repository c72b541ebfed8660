"""The passes that turn a model's quantizers into the formats of its layers' outputs.

The machine rounds a layer's output once, behind its activation, and every reader gets the rounded map. So a
quantizer belongs to the layer whose output it rounds, through what only moves values, which commutes with
rounding; and where a model rounds anywhere else, or not for every reader, it is refused.
"""

from collections import defaultdict
from dataclasses import replace

import numpy as np

from quantflow.arithmetic import MIN_BITS, Format, dequantize, quantize
from quantflow.graph import MaxPool, Pad, Rectified, Reshape, Slice
from quantflow.importer.rewriter import Rewriter
from quantflow.importer.steps import ChannelAffine, Flattening, Quantizer, RangeClip, Rectifier

MOVES = (Flattening, MaxPool, Pad, Reshape, Slice)


def join_quantizers(draft):
    """Quantizers that do the same to the same map are one; a Clip to a narrower range is part of its quantizer."""
    rewriter, first = Rewriter(draft), {}
    for step in rewriter.steps():
        if not isinstance(step, Quantizer):
            rewriter.keep(step)
            continue
        before = rewriter.kept.get(step.inputs[0])
        twin = first.setdefault((step.inputs, step.format), step)
        if isinstance(before, Quantizer) and before.format == step.format:
            rewriter.drop(step, f"the same as {before.name}")
        elif twin is not step:
            rewriter.redirect(step, twin.name, f"the same as {twin.name}")
        else:
            _keep_narrowed(rewriter, step)
    for step in list(rewriter.kept.values()):
        if isinstance(step, RangeClip):
            rewriter.refuse(step, step.refusal)
    return rewriter.draft()


def _keep_narrowed(rewriter, step):
    """Keep a quantizer, with the format that a Clip in front of it leaves of its own."""
    clip = rewriter.sole_source(step)
    narrower = (replace(step.format, bits=bits) for bits in range(MIN_BITS, step.format.bits + 1))
    formats = {(format.min * format.scale, format.max * format.scale): format for format in narrower}
    low, high = (clip.low, clip.high) if isinstance(clip, RangeClip) else (0, getattr(clip, "maximum", None))
    if not isinstance(clip, RangeClip | Rectifier) or (low, high) not in formats:
        rewriter.keep(step)
        return
    step = replace(step, format=formats[low, high])
    if isinstance(clip, Rectifier) and isinstance(rewriter.sole_source(clip), Rectified | ChannelAffine):
        rewriter.keep(replace(clip, maximum=None))  # that layer's activation, which the quantizer bounds
        rewriter.keep(step)
    else:
        rewriter.absorb(clip, step)


def exchange_rectifiers(draft):
    """relu(round(x)) is round(relu(x)): where nothing is rounded anew, the activation moves before the quantizer.

    With an upper bound that takes another quantizer of the same format behind it, which rounds the bound.
    """
    readers = defaultdict(list)
    for step in draft.steps:
        for name in step.inputs:
            readers[name].append(step)
    rewriter = Rewriter(draft)
    for step in rewriter.steps():
        before = rewriter.sole_source(step)
        movable = isinstance(step, Rectifier) and isinstance(before, Quantizer) and rewriter.sole_source(before)
        if movable and _rounds_no_more(step, before.format, readers[step.name]):
            rewriter.exchange(before, step)
        else:
            rewriter.keep(step)
    return rewriter.draft()


def _rounds_no_more(rectifier, format, readers):
    quantizers = [reader for reader in readers if isinstance(reader, Quantizer)]
    if not quantizers:
        return rectifier.maximum is None
    return len(quantizers) == len(readers) and all(reader.format == format for reader in quantizers)


def settle_quantizers(draft):
    """Each quantizer becomes the format of the layer, or of the input, whose map it rounds."""
    met = _formats_met(draft)
    formats, maps = {}, {}  # maps: name -> (its layer or the input, its format where one is given)
    rewriter = Rewriter(draft)
    _settle(draft.input_name, met, formats, maps)
    for step in rewriter.steps():
        if isinstance(step, Quantizer):
            owner, given = _owner(maps, step.inputs[0])
            maps[step.name] = owner, step.format
            if given == step.format:
                rewriter.drop(step, f"the format of {owner}")
            else:
                rewriter.refuse(step, _conflict(step, owner, given, met[owner]))
            continue
        if isinstance(step, MOVES):
            maps[step.name] = _owner(maps, step.inputs[0])
        else:
            _settle(step.name, met, formats, maps)
        reason = _lost(draft, step, maps, met)
        if reason is None:
            rewriter.keep(step)
        else:
            rewriter.refuse(step, reason)
    return replace(rewriter.draft(), formats=formats)


def _formats_met(draft):
    """For each map the formats that its readers' quantizers round it to; None for whoever takes it as it is."""
    met = defaultdict(set)
    for step in reversed(draft.steps):
        behind = met[step.name] or {None}  # what nothing reads is the output
        found = {step.format} if isinstance(step, Quantizer) else behind if isinstance(step, MOVES) else {None}
        for name in step.inputs:
            met[name] |= found
    return met


def _settle(name, met, formats, maps):
    (given,) = met[name] if len(met[name]) == 1 else (None,)
    maps[name] = name, given
    if given is not None:
        formats[name] = given


def _owner(maps, name):
    """The entry of `maps`; what no step makes is a second input of the model, which is refused."""
    return maps.get(name, (name, None))


def _conflict(step, owner, given, met):
    mine = f"rounds the map of {owner!r} to {_words(step.format)}"
    if given is not None:
        return f"{mine}, which is rounded to {_words(given)} before; only one rounding of a map is supported"
    others = [format for format in met if format not in (None, step.format)]
    if others:
        return f"{mine}, which another quantizer rounds to {_words(others[0])}; only one format of a map is supported"
    return f"{mine}, which is read without rounding as well; quantize it for all its readers or for none"


def _lost(draft, step, maps, met):
    """Why a step's constants are not on the scales at which the machine has them; None if they are."""
    owner, given = _owner(maps, step.inputs[0]) if step.inputs else ("", None)
    if given is None:
        return None
    pads = isinstance(step, Pad) and None in met[step.name]  # else the padding is rounded as well
    if pads and dequantize(quantize(step.value, given), given) != step.value:
        return f"pads with {step.value:g}, which the format of {owner!r} does not hold"
    if step.name in draft.quantized_biases and step.name in draft.weight_formats:
        fl = given.fl + draft.weight_formats[step.name].fl
        scaled = np.ldexp(step.bias.astype(np.float64), fl)
        if (scaled != np.rint(scaled)).any():
            channel = int((scaled != np.rint(scaled)).argmax())
            bias, scale = step.bias[channel], 2.0 ** -int(fl[channel])
            return (
                f"has a quantized bias of {bias:g}, no multiple of its sums' scale {scale:g}; "
                f"give it the scale of the input times that of the weight"
            )
    return None


def _words(format: Format):
    return f"{format.bits} bits{'' if format.signed else ' unsigned'} of scale {format.scale:g}"
