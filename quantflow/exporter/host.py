"""The operators behind the network, which its float model had, behind the exported one."""

from onnx import TensorProto

from quantflow.errors import UserError
from quantflow.exporter.writer import FLOAT
from quantflow.graph import Dense


def add_host_operators(network, writer, output, sizes):
    """Append `network.host` behind the value `output` of `sizes` with the batch: the last value's name, sizes, type.

    An ArgMax keeps the axis that it reduces, with size 1. Raises UserError where it is not certain which
    values an operator's axis runs over: the importer drops a flattening in front of it, so the map of a
    layer may be [N, C, H, W] here and have been [N, F] there.
    """
    sizes, kind = list(sizes), FLOAT
    for operator in network.host:
        last = network.layers[-1]
        certain = operator.axis == 1 and last.output_shape[1:] == (1, 1) or operator.axis in (2, 3)
        if not certain or operator.axis >= len(sizes) or (isinstance(last, Dense) and operator.axis != 1):
            raise UserError(
                f"{operator.operator} {operator.name!r} behind the network works along axis {operator.axis} of a "
                f"map that may have been flattened; export without host operators (--no-host)"
            )
        output = writer.node(operator.operator, [output], writer.unused(operator.name), axis=operator.axis)
        if operator.operator == "ArgMax":
            sizes[operator.axis], kind = 1, TensorProto.INT64
    return output, sizes, kind
