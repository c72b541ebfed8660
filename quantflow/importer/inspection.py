"""What a model consists of, and everything in it that cannot be imported, all at once."""

from dataclasses import dataclass

from quantflow.capabilities import machine_lacks
from quantflow.importer.drafting import draft_model
from quantflow.importer.files import read_model
from quantflow.importer.passes import run_passes


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """One node of the model. Shapes are for one image, None (or None in them) where unknown.

    What is folded into another layer or removed costs nothing: the sums over all reports are the
    imported network's own.
    """

    operator: str
    name: str
    input_shape: tuple[int | None, ...] | None  # [C, H, W] or [F]
    output_shape: tuple[int | None, ...] | None
    macs: int | None  # for one image; None if refused
    parameters: int | None
    verdict: str  # "ok", "folded into X", "removed", why it is refused, or what the machine lacks for it
    supported: bool


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """The reports of all nodes but constants, and what is wrong with the graph as a whole."""

    name: str
    path: str
    opset: int
    input_name: str
    input_shape: tuple[int, int, int] | None  # [C, H, W] of one image
    layers: tuple[LayerReport, ...]
    problems: tuple[str, ...]  # each continues "The model ..."

    @property
    def supported(self):
        """Whether every layer of the model can be imported, and so tuned."""
        return not self.problems and all(layer.supported for layer in self.layers)

    @property
    def macs(self):
        """Multiply-accumulates for one image in all supported layers."""
        return sum(layer.macs or 0 for layer in self.layers)

    @property
    def parameters(self):
        """Weights and biases of all supported layers."""
        return sum(layer.parameters or 0 for layer in self.layers)

    def to_json(self):
        """The same as a dict of what JSON knows."""
        return {
            "name": self.name,
            "path": self.path,
            "opset": self.opset,
            "supported": self.supported,
            "problems": list(self.problems),
            "input": {"name": self.input_name, "shape": _listed(self.input_shape)},
            "macs": self.macs,
            "parameters": self.parameters,
            "layers": [
                {
                    "operator": layer.operator,
                    "name": layer.name,
                    "input_shape": _listed(layer.input_shape),
                    "output_shape": _listed(layer.output_shape),
                    "macs": layer.macs,
                    "parameters": layer.parameters,
                    "verdict": layer.verdict,
                    "supported": layer.supported,
                }
                for layer in self.layers
            ],
        }


def inspect_model(path):
    """The Inspection of the ONNX file at `path`; raises UserError only if it cannot be read as ONNX.

    Behind a node that is refused, shapes are those that the file declares or onnx infers.
    """
    model = read_model(path)
    draft = run_passes(draft_model(model))
    problems = draft.problems
    if not (problems or draft.steps):
        problems = ("has no layer that computes; a network needs at least one",)
    lacks = {step.name: reason for step in draft.steps if (reason := machine_lacks(step)) is not None}
    return Inspection(
        name=draft.name,
        path=draft.model_path,
        opset=model.opset,
        input_name=draft.input_name,
        input_shape=draft.input_shape,
        layers=tuple(_report(entry, lacks.get(entry.name)) for entry in draft.entries.values()),
        problems=problems,
    )


def _report(entry, lack):
    """The report of one node; `lack` is what the machine does not compute of it, if anything."""
    verdict = entry.verdict if lack is None or entry.refused else f"{lack}: no hardware yet"
    return LayerReport(
        operator=entry.operator,
        name=entry.name,
        input_shape=entry.input_shape,
        output_shape=entry.output_shape,
        macs=entry.macs,
        parameters=entry.parameters,
        verdict=verdict,
        supported=not entry.refused,
    )


def _listed(shape):
    return None if shape is None else list(shape)
