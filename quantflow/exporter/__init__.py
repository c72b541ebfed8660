"""A tuned network as a standard ONNX model with power-of-two quantizers (QDQ).

    export(quantized) -> onnx.ModelProto

Any engine that computes QuantizeLinear, DequantizeLinear and the float operators between them as ONNX defines
them gets the integer engine's integers at every layer, as long as its float32 sums are exact:
`exactness.layer_figures` says which layers are proved so. docs/exchange.md names the tensors.
"""

from onnx import checker, helper

from quantflow.errors import UserError
from quantflow.exporter.exactness import check_scales
from quantflow.exporter.host import add_host_operators
from quantflow.exporter.layers import add_layer
from quantflow.exporter.maps import Maps
from quantflow.exporter.writer import BATCH, FLOAT, Writer
from quantflow.graph import AveragePool, Dense

BASIC_OPSET = 13  # the first with a scale for each channel
DILATED_AVERAGE_OPSET = 19  # AveragePool has dilations
WIDE_OPSET = 21  # quantizers to 16 bits
MAX_BYTES = (1 << 31) - 1  # of a protobuf message


def export(quantized, *, host=True):
    """The QuantizedNetwork `quantized` as an ONNX model, which takes and gives float32.

    The input is [N, C, H, W], or [N, F] where only fully connected layers read one of [F, 1, 1]; the output is
    [N, F] behind a fully connected layer. With `host` the operators behind the network, Softmax say, follow
    its last layer. Raises UserError for a scale that float32 does not hold, for a host operator whose axis is
    not certain, and for a model of more than 2 GiB.
    """
    check_scales(quantized)
    network = quantized.network
    writer = Writer([network.input_name, *(layer.name for layer in network.layers)])
    maps, source = Maps(quantized, writer), network.input_name
    rank = 2 if _reads_features(network) else 4
    maps.add_rounded(source, network.input_shape, rank, source, writer.unused(f"{source}:dequantized"))
    for layer in network.layers:
        add_layer(maps, layer)
    last = network.layers[-1].name
    output, sizes, kind = last, [BATCH, *maps.sizes(last)], FLOAT
    if host:
        output, sizes, kind = add_host_operators(network, writer, output, sizes)
    model = _model(quantized, writer, (output, sizes, kind))
    if model.ByteSize() > MAX_BYTES:
        raise UserError(f"{network.name} makes an ONNX file of {model.ByteSize()} bytes; it may have {MAX_BYTES}")
    checker.check_model(model, full_check=True)
    return model


def _reads_features(network):
    """Whether the network's input is a list of features: then models have it as [N, F]."""
    readers = [layer for layer in network.layers if network.input_name in layer.inputs]
    return network.input_shape[1:] == (1, 1) and all(isinstance(layer, Dense) for layer in readers)


def _model(quantized, writer, output):
    network, opset = quantized.network, _opset(quantized)
    first, last = writer.value(network.input_name), helper.make_tensor_value_info(output[0], output[2], output[1])
    values = [value for name, value in writer.values.items() if name not in (first.name, last.name)]
    graph = helper.make_graph(writer.nodes, network.name, [first], [last], writer.constants, value_info=values)
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(
        graph, opset_imports=imports, ir_version=helper.find_min_ir_version_for(imports), producer_name="quantflow"
    )


def _opset(quantized):
    """The earliest set of operators that has what the network needs: older engines know it."""
    layers = quantized.network.layers
    names = [quantized.network.input_name, *(layer.name for layer in layers)]
    widths = [quantized.output_format(name).bits for name in names]
    widths += [entry.weight_bits for entry in quantized.layers.values()]
    if max(widths) > 8:
        return WIDE_OPSET
    dilated = any(isinstance(layer, AveragePool) and layer.window.dilation != (1, 1) for layer in layers)
    return DILATED_AVERAGE_OPSET if dilated else BASIC_OPSET
