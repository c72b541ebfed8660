"""Passes over what only moves values: slices, pads, flattenings, and convolutions that do no more."""

from dataclasses import replace

import numpy as np

from quantflow.graph import Convolution, Dense, Pad, Reshape, Slice
from quantflow.importer.rewriter import Rewriter
from quantflow.importer.steps import Flattening, HostStep, Refused


def remove_flattenings(draft):
    """A dense layer reads any map in [C, H, W] order, and so does who takes the output: flattening moves no value.

    In front of other layers it is a layer of its own, unless the map keeps its shape.
    """
    in_any_shape = Dense | Flattening | HostStep | Refused
    needed = {name for step in draft.steps if not isinstance(step, in_any_shape) for name in step.inputs}
    rewriter = Rewriter(draft)
    for step in rewriter.steps():
        if not isinstance(step, Flattening):
            rewriter.keep(step)
        elif step.name in needed and step.input_shape != step.output_shape:
            common = {key: getattr(step, key) for key in ("name", "inputs", "input_shape", "output_shape")}
            rewriter.become(step, Reshape(**common))
        else:
            rewriter.drop(step, "removed")
    return rewriter.draft()


def merge_slices(draft):
    """A slice of a slice is one slice."""
    rewriter = Rewriter(draft)
    for step in rewriter.steps():
        before = rewriter.sole_source(step)
        if isinstance(step, Slice) and isinstance(before, Slice):
            start = tuple(a + b * c for a, b, c in zip(before.start, before.step, step.start, strict=True))
            strides = tuple(a * b for a, b in zip(before.step, step.step, strict=True))
            rewriter.absorb(before, replace(step, start=start, step=strides))
        else:
            rewriter.keep(step)
    return rewriter.draft()


def fold_pads(draft):
    """Zeros put around a map that only a convolution reads are the convolution's own padding."""
    rewriter = Rewriter(draft)
    for step in rewriter.steps():
        before = rewriter.sole_source(step)
        if isinstance(step, Convolution) and isinstance(before, Pad) and _is_spatial_zero(before):
            added = (*before.before[1:], *before.after[1:])
            padding = tuple(a + b for a, b in zip(step.window.padding, added, strict=True))
            rewriter.absorb(before, replace(step, window=replace(step.window, padding=padding)))
        else:
            rewriter.keep(step)
    return rewriter.draft()


def _is_spatial_zero(pad):
    return pad.value == 0 and pad.before[0] == pad.after[0] == 0


def free_selections(draft):
    """A 1x1 convolution that only passes channels on is a slice, with channels of zeros put around it."""
    rewriter = Rewriter(draft)
    for step in rewriter.steps():
        before = _passed_on_behind(step) if isinstance(step, Convolution) else None
        if before is None or step.name in draft.weight_formats:
            rewriter.keep(step)
            continue
        taken = (step.input_shape[0], *step.output_shape[1:])
        source = {"inputs": step.inputs, "input_shape": step.input_shape}
        if step.window.stride != (1, 1):
            start = {"start": (0, 0, 0), "step": (1, *step.window.stride)}
            cut = Slice(name=f"{step.name}:taken", output_shape=taken, **source, **start)
            rewriter.keep(cut)
            source = {"inputs": (cut.name,), "input_shape": taken}
        after = step.output_shape[0] - step.input_shape[0] - before
        channels = {"before": (before, 0, 0), "after": (after, 0, 0)}
        rewriter.become(step, Pad(name=step.name, output_shape=step.output_shape, **source, **channels))
    return rewriter.draft()


def _passed_on_behind(layer):
    """Channels of zeros in front of the input's, if the convolution only passes those on; else None."""
    window, outputs, inputs = layer.window, *layer.weight.shape[:2]
    plain = window.kernel == (1, 1) and not any(window.padding) and not layer.relu and layer.groups == 1
    if not plain or len(layer.inputs) != 1 or layer.bias.any() or outputs < inputs:
        return None
    before = int(layer.weight[:, 0, 0, 0].argmax())
    expected = np.eye(outputs, inputs, -before, dtype=np.float32)
    whole = before + inputs <= outputs
    return before if whole and np.array_equal(layer.weight[:, :, 0, 0], expected) else None
