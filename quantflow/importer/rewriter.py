"""The walk over a draft's steps that every pass is made of."""

from collections import Counter
from dataclasses import replace

from quantflow.importer.steps import Refused


class Rewriter:
    """Walks a draft's steps in order while a pass keeps, replaces or drops them."""

    def __init__(self, draft):
        self._draft = draft
        self._entries = dict(draft.entries)
        self._successor = {}  # dropped step -> the step (or input) whose map its readers now read
        self._readers = Counter(name for step in draft.steps for name in step.inputs)
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

    def become(self, step, layer):
        """A layer of the network in place of a step that found none to be folded into."""
        self.keep(layer)
        entry = self._entries[step.name]
        self._entries[step.name] = replace(entry, macs=layer.macs, parameters=layer.parameters)

    def absorb(self, before, step):
        """Keep `step`, which now does what `before` did for it alone, and reads what that read."""
        del self.kept[before.name]
        self.keep(replace(step, inputs=before.inputs, input_shape=before.input_shape))
        self._note(before, f"folded into {step.name}", refused=False)

    def sole_source(self, step, index=0):
        """The step whose map is the input `index` of `step` if nothing else reads it, else None."""
        name = step.inputs[index] if step.inputs else None
        return self.kept.get(name) if self._readers[name] == 1 else None

    def drop(self, step, verdict, index=0):
        """Readers of `step` read its input `index` instead; its entry says `verdict`."""
        source = step.inputs[index]
        self._successor[step.name] = source
        self._readers[source] += self._readers[step.name] - 1
        self._note(step, verdict, refused=False)

    def redirect(self, step, target, verdict):
        """Readers of `step`, which goes, read the map of `target` instead; its entry says `verdict`."""
        self._successor[step.name] = target
        self._readers[target] += self._readers[step.name]
        self._readers[step.inputs[0]] -= 1
        self._note(step, verdict, refused=False)

    def exchange(self, before, step):
        """Put `step`, the only reader of `before`, in front of it."""
        del self.kept[before.name]
        self.keep(replace(step, inputs=before.inputs, input_shape=before.input_shape))
        self.keep(replace(before, inputs=(step.name,), input_shape=step.output_shape, output_shape=step.output_shape))
        self._successor[step.name] = before.name
        self._readers[before.name], self._readers[step.name] = self._readers[step.name], 1

    def delay(self, layer):
        """Keep `layer` anew, behind all that was kept so far instead of at its earlier place."""
        del self.kept[layer.name]
        self.keep(layer)

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
