"""From an ONNX file to a network of supported layers, or to the list of what stands in the way.

    read (files) -> convert node by node (drafting, converters) -> clean up (passes) -> Network

Reading a model never executes code from it, never writes a file, and reads nothing outside the
model's folder.
"""

from quantflow.importer.drafting import draft_model
from quantflow.importer.files import read_model
from quantflow.importer.inspection import Inspection, LayerReport, inspect_model
from quantflow.importer.passes import finish, run_passes

__all__ = ["Inspection", "LayerReport", "inspect_model", "load_network"]


def load_network(path):
    """The `graph.Network` of the ONNX file at `path`, batch normalization and ReLU folded.

    The network takes float32 [N, C, H, W]; a model whose input is [N, F] becomes one whose input is
    [N, F, 1, 1]. A Flatten in front of the output is dropped: the values keep their order, the map its
    shape. Raises UserError, naming file, node and reason, for whatever cannot be imported exactly.
    """
    return finish(run_passes(draft_model(read_model(path))))
