"""The passes that turn a draft into a network: functions draft -> draft, run in the order of PASSES."""

from dataclasses import replace

import numpy as np

from quantflow.errors import UserError
from quantflow.graph import Activation, Convolution, Dense, Layer, MaxPool, Network, Rectified, Window
from quantflow.importer.bounds import fuse_upper_bounds
from quantflow.importer.moving import fold_pads, free_selections, merge_slices, remove_flattenings
from quantflow.importer.nodes import clipped, word
from quantflow.importer.residuals import fuse_residuals
from quantflow.importer.rewriter import Rewriter
from quantflow.importer.settling import exchange_rectifiers, join_quantizers, settle_quantizers
from quantflow.importer.steps import UNKNOWN, ChannelAffine, Draft, Flattening, HostStep, Passage, Rectifier, Refused


def remove_passages(draft):
    """Steps that change nothing go."""
    rewriter = Rewriter(draft)
    for step in rewriter.steps():
        if isinstance(step, Passage):
            rewriter.drop(step, "removed")
        else:
            rewriter.keep(step)
    return rewriter.draft()


def fold_affines(draft):
    """scale * (W x + b) + offset = (scale * W) x + (scale * b + offset), computed in float64.

    Without a layer to be folded into, it is a convolution of one tap and one channel a group.
    """
    rewriter, biases = Rewriter(draft), set(draft.quantized_biases)
    for step in rewriter.steps():
        host = rewriter.sole_source(step)
        if not isinstance(step, ChannelAffine):
            rewriter.keep(step)
        elif isinstance(host, Refused):
            rewriter.drop(step, f"folded into {host.name}")
        elif not isinstance(host, Convolution | Dense):
            _keep_scaling(rewriter, step)
        elif host.name in draft.weight_formats and (step.scale != 1).any():
            rewriter.refuse(step, f"scales the output of {host.name!r}, whose weight came quantized; fold it in before")
        else:
            if step.name in biases:
                biases.add(host.name)
            folded = _scaled(host, step)
            if np.isfinite(folded.weight).all() and np.isfinite(folded.bias).all():
                rewriter.keep(folded)
                rewriter.drop(step, f"folded into {host.name}")
            else:
                rewriter.refuse(step, f"makes weights that exceed float32 when folded into {host.name!r}")
    return replace(rewriter.draft(), quantized_biases=frozenset(biases))


def _scaled(layer, affine):
    scale = affine.scale.reshape(-1, *(1,) * (layer.weight.ndim - 1))
    with np.errstate(over="ignore", invalid="ignore"):
        return replace(
            layer,
            weight=(layer.weight * scale).astype(np.float32),
            bias=(layer.bias * affine.scale + affine.offset).astype(np.float32),
        )


def _keep_scaling(rewriter, step):
    """A scaling that stands alone, as a depthwise convolution."""
    with np.errstate(over="ignore"):
        weight, bias = step.scale.astype(np.float32), step.offset.astype(np.float32)
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        rewriter.refuse(step, "makes weights that exceed float32")
        return
    layer = Convolution(
        name=step.name,
        inputs=step.inputs,
        input_shape=step.input_shape,
        output_shape=step.output_shape,
        window=Window(kernel=(1, 1)),
        weight=weight[:, None, None, None],
        bias=bias,
        groups=len(bias),
    )
    rewriter.become(step, layer)


def fuse_rectifiers(draft):
    """A ReLU becomes part of the layer before it. Max pooling and flattening commute with it."""
    rewriter = Rewriter(draft)
    behind = {}  # pooling or flattening -> the layer that it, and others like it in between, alone stand behind
    for step in rewriter.steps():
        host = rewriter.sole_source(step)
        if host is not None and host.name in behind:
            host = rewriter.kept.get(behind[host.name])
        if isinstance(step, MaxPool | Flattening):
            behind[step.name] = host and host.name
        if not isinstance(step, Rectifier):
            rewriter.keep(step)
            continue
        if isinstance(host, Rectified):
            bounds = [bound for bound in (host.maximum, step.maximum) if bound is not None]
            rewriter.keep(replace(host, relu=True, maximum=min(bounds, default=None)))
        if isinstance(host, Rectified | Refused):
            rewriter.drop(step, f"folded into {host.name}")
        else:
            rewriter.become(step, _activation(step))
    return rewriter.draft()


def _activation(step):
    channels = step.input_shape[0] if step.input_shape else 0  # unknown behind a refused node
    return Activation(
        name=step.name,
        inputs=step.inputs,
        input_shape=step.input_shape,
        output_shape=step.output_shape,
        slope=np.broadcast_to(np.float32(0), (channels,)),
        maximum=step.maximum,
    )


def leave_to_host(draft):
    """Softmax and its like end the model: the network ends before them."""
    rewriter, operators = Rewriter(draft), []
    for step in rewriter.steps():
        if isinstance(step, HostStep):
            operators.append(step.operator)
            rewriter.drop(step, "left to the host")
        else:
            rewriter.keep(step)
    return replace(rewriter.draft(), host=tuple(operators))


def refuse_behind_host(draft):
    """What reads a step that is left to the host, and is not left to it itself, has nothing to read."""
    rewriter, host = Rewriter(draft), set()
    for step in rewriter.steps():
        sources = [name for name in step.inputs if name in host]
        if isinstance(step, HostStep):
            host.add(step.name)
        if sources and not isinstance(step, HostStep):
            rewriter.refuse(step, f"reads {sources[0]!r}, which is left to the host and so must end the model")
        else:
            rewriter.keep(step)
    return rewriter.draft()


PASSES = (
    remove_passages,
    join_quantizers,
    merge_slices,
    fold_pads,
    fold_affines,
    exchange_rectifiers,
    fuse_rectifiers,
    fuse_upper_bounds,
    free_selections,
    fuse_residuals,
    settle_quantizers,
    remove_flattenings,
    refuse_behind_host,
    leave_to_host,
)


def run_passes(draft):
    """The draft after all passes."""
    for each in PASSES:
        draft = each(draft)
    return draft


def faults(draft):
    """Every reason why the draft is no network, each a sentence without its file's name."""
    problems = [f"it {problem}" for problem in draft.problems]
    refused = [entry for entry in draft.entries.values() if entry.refused]
    causes = [entry for entry in refused if entry.verdict != UNKNOWN]
    refused = causes if problems or causes else refused
    nodes = [f"{word(entry.operator)} {entry.name!r} {entry.verdict}" for entry in refused]
    return [clipped(reason) for reason in problems + nodes]


def finish(draft: Draft):
    """The network of a draft after its passes; raises UserError with the first fault, counting the others."""
    reasons = faults(draft)
    if reasons:
        more = f"; `quantflow inspect` shows {len(reasons) - 1} more" if len(reasons) > 1 else ""
        raise UserError(f"{draft.model_path}: {reasons[0]}{more}")
    if not draft.steps:
        raise UserError(f"{draft.model_path}: it has no layer that computes; a network needs at least one")
    unfinished = [step for step in draft.steps if type(step).__module__ != Layer.__module__]
    if unfinished:
        raise AssertionError(f"the passes left {unfinished[0]!r}")
    return Network(
        name=draft.name,
        input_name=draft.input_name,
        input_shape=draft.input_shape,
        layers=draft.steps,
        host=draft.host,
        formats=draft.formats,
        weight_formats=draft.weight_formats,
    )
