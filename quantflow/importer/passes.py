"""The passes that turn a draft into a network: functions draft -> draft, run in the order of PASSES."""

from dataclasses import replace

import numpy as np

from quantflow.errors import UserError
from quantflow.graph import Convolution, Dense, MaxPool, Network
from quantflow.importer.nodes import clipped, word
from quantflow.importer.steps import UNKNOWN, ChannelAffine, Draft, Flattening, Passage, Rectifier, Refused


class _Rewriter:
    """Walks a draft's steps in order while a pass keeps, replaces or drops them."""

    def __init__(self, draft):
        self._draft = draft
        self._entries = dict(draft.entries)
        self._successor = {}  # dropped step -> the step (or input) whose map its readers now read
        self.kept = {}

    def steps(self):
        """The steps in order, each already reading what is left of those before it."""
        for step in self._draft.steps:
            inputs = tuple(self._successor.get(name, name) for name in step.inputs)
            if inputs != step.inputs:
                before = self.kept.get(inputs[0])
                shape = before.output_shape if before else self._draft.input_shape
                step = replace(step, inputs=inputs, input_shape=shape)
            yield step

    def keep(self, step):
        self.kept[step.name] = step

    def drop(self, step, verdict):
        """Readers of `step` read its input instead; its entry says `verdict`."""
        self._successor[step.name] = step.inputs[0]
        self._note(step, verdict, refused=False)

    def refuse(self, step, reason):
        self.keep(
            Refused(
                name=step.name,
                inputs=step.inputs,
                input_shape=step.input_shape,
                output_shape=step.output_shape,
            )
        )
        self._note(step, reason, refused=True)

    def _note(self, step, verdict, refused):
        entry = self._entries[step.name]
        if not entry.refused:
            self._entries[step.name] = replace(entry, verdict=verdict, refused=refused)

    def draft(self):
        return replace(self._draft, steps=tuple(self.kept.values()), entries=self._entries)


def remove_passages(draft):
    """Steps that change nothing go."""
    rewriter = _Rewriter(draft)
    for step in rewriter.steps():
        if isinstance(step, Passage):
            rewriter.drop(step, "removed")
        else:
            rewriter.keep(step)
    return rewriter.draft()


def fold_affines(draft):
    """scale * (W x + b) + offset = (scale * W) x + (scale * b + offset), computed in float64."""
    rewriter = _Rewriter(draft)
    for step in rewriter.steps():
        host = rewriter.kept.get(step.inputs[0]) if step.inputs else None
        if not isinstance(step, ChannelAffine):
            rewriter.keep(step)
        elif isinstance(host, Refused):
            rewriter.drop(step, f"folded into {host.name}")
        elif not isinstance(host, Convolution | Dense):
            rewriter.refuse(step, "does not directly follow a Conv, Gemm or MatMul to be folded into")
        else:
            folded = _scaled(host, step)
            if np.isfinite(folded.weight).all() and np.isfinite(folded.bias).all():
                rewriter.keep(folded)
                rewriter.drop(step, f"folded into {host.name}")
            else:
                rewriter.refuse(step, f"makes weights that exceed float32 when folded into {host.name!r}")
    return rewriter.draft()


def _scaled(layer, affine):
    scale = affine.scale.reshape(-1, *(1,) * (layer.weight.ndim - 1))
    with np.errstate(over="ignore", invalid="ignore"):
        return replace(
            layer,
            weight=(layer.weight * scale).astype(np.float32),
            bias=(layer.bias * affine.scale + affine.offset).astype(np.float32),
        )


def fuse_rectifiers(draft):
    """A ReLU becomes part of the layer before it. Max pooling and flattening commute with it."""
    rewriter = _Rewriter(draft)
    for step in rewriter.steps():
        if not isinstance(step, Rectifier):
            rewriter.keep(step)
            continue
        host = rewriter.kept.get(step.inputs[0])
        while isinstance(host, MaxPool | Flattening):
            host = rewriter.kept.get(host.inputs[0])
        if isinstance(host, Convolution | Dense):
            rewriter.keep(replace(host, relu=True))
        if isinstance(host, Convolution | Dense | Refused):
            rewriter.drop(step, f"folded into {host.name}")
        else:
            rewriter.refuse(step, "follows no Conv, Gemm or MatMul to be folded into")
    return rewriter.draft()


def remove_flattenings(draft):
    """A dense layer reads any map in [C, H, W] order, so flattening moves no value."""
    rewriter = _Rewriter(draft)
    for step in rewriter.steps():
        if isinstance(step, Flattening):
            rewriter.drop(step, "removed")
        else:
            rewriter.keep(step)
    return rewriter.draft()


PASSES = (remove_passages, fold_affines, fuse_rectifiers, remove_flattenings)


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
    unfinished = [step for step in draft.steps if not isinstance(step, Convolution | Dense | MaxPool)]
    if unfinished:
        raise AssertionError(f"the passes left {unfinished[0]!r}")
    return Network(
        name=draft.name, input_name=draft.input_name, input_shape=draft.input_shape, layers=draft.steps
    )
