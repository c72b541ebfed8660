"""From ONNX nodes to a draft: each node is converted or refused, and every one leads to the output."""

import math
from dataclasses import replace
from itertools import chain, count

from onnx import NodeProto, TensorProto

from quantflow.importer.converters import CONVERTERS
from quantflow.importer.declared import DeclaredShapes, declared_sizes, inferred, input_fault
from quantflow.importer.files import domain_of
from quantflow.importer.folding import Folder
from quantflow.importer.grids import Grids
from quantflow.importer.nodes import Attributes, Excess, Node, Refusal, UnknownShape, clipped, shown
from quantflow.importer.quantizers import QUANTIZERS
from quantflow.importer.site import MAX_MAP_VALUES, Site, Value, as_map
from quantflow.importer.steps import UNKNOWN, ChannelAffine, Draft, Entry, HostStep, Quantizer, Refused
from quantflow.importer.tensors import MAX_ELEMENTS, Constants

MAX_BATCH = 1 << 24  # that a model may fix
MAX_PARAMETERS = MAX_ELEMENTS  # of all layers
SUPPORTED = (
    "Conv, Gemm, MatMul, Relu, MaxPool, AveragePool, Add, Concat, Slice, Pad, Flatten, batch normalization "
    "and their kin"
)


def draft_model(model):
    """The draft of a `files.Model`; what cannot be imported stands in its entries and problems."""
    drafter = _Drafter(model)
    for proto in model.graph.node:
        drafter.take(proto)
    return drafter.draft()


class _Drafter:
    """Walks the nodes in the file's order, which ONNX requires to be an order of execution."""

    def __init__(self, model):
        self._model = model
        self._constants = Constants(model.graph, model.path.parent)
        self._declared = DeclaredShapes(model)
        self._grids = Grids()
        self._folder = Folder()
        self._problems = []
        self._steps = []
        self._entries = {}
        self._values = {}
        self._batch = None
        self._parameters = 0  # of all steps so far
        self._readers = {}  # value -> label of the first node that reads it
        self._origins = {}  # value -> name of the node that makes it
        self._numbers = {}  # name -> the next numbers to tell its namesakes apart by
        self._take_inputs()

    def _take_inputs(self):
        for name in self._constants.repeated:
            self._problems.append(f"has two initializers {name!r}; every value needs a name of its own")
        inputs = [value for value in self._model.graph.input if value.name not in self._constants]
        if len(inputs) != 1:
            names = ", ".join(repr(value.name) for value in inputs)
            self._problems.append(f"has {len(inputs)} inputs ({names}); exactly one is supported")
        for value in inputs:
            fault = input_fault(value) if value.name else "has no name"
            sizes = declared_sizes(value)
            if fault is None and math.prod(sizes[1:]) > MAX_MAP_VALUES:
                fault = f"has the shape {shown(sizes)}; at most {MAX_MAP_VALUES} values are supported"
            elif fault is None and sizes[0] is not None and sizes[0] > MAX_BATCH:
                fault = f"has the shape {shown(sizes)}; at most {MAX_BATCH} images at a time are supported"
            if fault is not None:
                self._problems.append(f"has an input {value.name!r} that {fault}")
            else:
                self._batch = sizes[0]
            self._values[value.name] = Value(producer=value.name, shape=None if fault else sizes[1:])
        self._input = self._values[inputs[0].name] if inputs else Value(producer="", shape=None)

    def take(self, proto):
        """Convert one node, or note why not. A Split is taken as a node for each of its outputs."""
        if proto.op_type != "Split" or len(proto.output) < 2:
            self._take(proto, (0, 1))
            return
        for index, output in enumerate(proto.output):
            part = NodeProto()
            part.CopyFrom(proto)
            part.name = proto.name and f"{proto.name}[{index}]"
            part.output[:] = [output]
            self._take(part, (index, len(proto.output)))

    def _take(self, proto, part):
        node = Node(
            part=part,
            name=self._unique_name(proto),
            operator=proto.op_type,
            inputs=tuple(proto.input),
            outputs=tuple(proto.output),
            attributes=Attributes(proto),
        )
        try:
            self._check_outputs(node)
            site = self._site(node)
            if self._is_constant(proto, site):
                return
            self._check_parameters(0)  # beyond the limit nothing is computed any more
            step, shape, refusal = *self._converted(node, proto, site), None
            self._check_parameters(step.parameters)
        except Refusal as caught:
            step, shape, refusal = None, None, str(caught)
        except UnknownShape:
            step, shape, refusal = None, None, UNKNOWN
        if step is None:
            shape = self._guess(proto)
            step = self._placeholder(node, shape)
        self._record(node, step, shape, refusal)

    def _check_parameters(self, more):
        """Thousands of nodes may read one initializer, and each compute weights of its own from it."""
        self._parameters += more
        if self._parameters > MAX_PARAMETERS:
            raise Refusal(f"takes the network beyond {MAX_PARAMETERS} weights, which is the limit")

    def _site(self, node):
        return Site(
            node=node, batch=self._batch, opset=self._model.opset, constants=self._constants, values=self._values
        )

    def _is_constant(self, proto, site):
        """Constant nodes, and those that compute with constants alone, become constants and leave no step."""
        if (domain_of(proto), proto.op_type) in self._model.local_functions:
            return False
        if self._grids.compute(proto, site):
            return True
        if domain_of(proto):
            return False
        if proto.op_type == "Constant":
            self._constants.add_node(proto.output[0], proto)
        elif proto.op_type == "Identity" and len(proto.input) == 1 and proto.input[0] in self._constants:
            self._constants.add_alias(proto.output[0], proto.input[0])
        else:
            return self._is_folded(proto, site)
        return True

    def _is_folded(self, proto, site):
        try:
            arrays = self._folder.folded(proto, site)
        except Refusal as refusal:
            if proto.op_type in CONVERTERS and not isinstance(refusal, Excess):
                return False  # its converter says what it expects instead
            raise
        if arrays is None:
            return False
        (output,) = [name for name in proto.output if name]
        self._constants.add_computed(output, arrays)
        return True

    def _converted(self, node, proto, site):
        domain = domain_of(proto)
        if (domain, node.operator) in self._model.local_functions:
            raise Refusal("is a function that the file defines; export the model with its functions inlined")
        converter = QUANTIZERS.get((domain, node.operator))
        if domain and converter is None:
            raise Refusal(f"belongs to the operator set {domain!r}; only ONNX's own is supported")
        if converter is None and node.operator not in CONVERTERS:
            raise Refusal(f"is not supported ({SUPPORTED} are)")
        step, shape = (converter or CONVERTERS[node.operator])(site)
        self._grids.note(site, step)
        if isinstance(step, HostStep | Quantizer):
            return step, shape
        other_type = self._declared.other_type(node.outputs[0])
        if other_type is not None:
            raise Refusal(f"makes FLOAT, but the file declares {other_type} for it")
        declared = self._declared.contradiction(node.outputs[0], self._batch, shape)
        if declared is not None:
            ours = shown(("N" if self._batch is None else self._batch, *shape))
            raise Refusal(f"makes {ours}, but the file declares {shown(declared)} for it")
        return step, shape

    def _check_outputs(self, node):
        if not node.outputs or not node.outputs[0]:
            raise Refusal("has no output")
        for name in node.outputs:
            if name and (name in self._values or name in self._constants):
                raise Refusal(f"makes {name!r}, which exists already; every value needs a name of its own")

    def _guess(self, proto):
        """The shape that a node we cannot convert makes, as the file declares it or as onnx infers it; or None."""
        if not proto.output or not proto.output[0]:
            return None
        declared = self._declared.guess(proto.output[0])
        if declared is not None or domain_of(proto):
            return _plausible(declared)
        inputs = {}
        for name in proto.input:
            if name in self._values and self._values[name].shape is not None:
                inputs[name] = TensorProto.FLOAT, (self._batch, *self._values[name].shape)
            elif name in self._constants and self._constants.sizes(name) is not None:
                inputs[name] = self._constants.element_type(name), self._constants.sizes(name)
        return _plausible(inferred(proto, inputs, self._model.opset))

    def _placeholder(self, node, shape):
        producers = [self._values[name] for name in node.inputs if name in self._values]
        known = producers[0].shape if producers else None
        return Refused(
            name=node.name,
            inputs=tuple(value.producer for value in producers),
            input_shape=known,
            output_shape=shape,
        )

    def _record(self, node, step, shape, refusal):
        for name in node.inputs:
            if name in self._values:
                self._readers.setdefault(name, repr(node.name))
        for index, name in enumerate(node.outputs):
            if name and name not in self._constants and name not in self._values:
                integers = step.format if isinstance(step, Quantizer) and node.operator == "QuantizeLinear" else None
                value = Value(producer=node.name, shape=shape if index == 0 else None, integers=integers)
                self._values[name] = value
                self._origins.setdefault(name, node.name)
        reads = self._values.get(next((name for name in node.inputs if name in self._values), None))
        self._steps.append(step)
        # Additions and normalizations vanish into the layer before them: they cost nothing.
        free = isinstance(step, ChannelAffine)
        self._entries[node.name] = Entry(
            operator=node.operator,
            name=node.name,
            input_shape=reads.shape if reads else None,
            output_shape=shape,
            macs=None if refusal else step.macs,
            parameters=None if refusal else 0 if free else step.parameters,
            verdict=clipped(refusal or "ok"),
            refused=refusal is not None,
        )

    def _unique_name(self, proto):
        """The node's name, or its output's; made unique, since layers are found by name."""
        candidates = [name for name in (proto.name, *proto.output[:1]) if name] or [proto.op_type]
        numbers = self._numbers.setdefault(candidates[0], count(2))
        names = chain(candidates, (f"{candidates[0]}_{k}" for k in numbers))
        return next(name for name in names if name not in self._entries and name != self._input.producer)

    def draft(self):
        """The finished draft, after the checks that need the whole graph."""
        self._check_graph_outputs()
        input_shape = self._input.shape
        return Draft(
            model_path=str(self._model.path),
            name=self._model.path.stem,
            input_name=self._input.producer,
            input_shape=None if input_shape is None else as_map(input_shape),
            steps=tuple(self._steps),
            entries=self._entries,
            weight_formats=self._grids.weight_formats,
            quantized_biases=frozenset(self._grids.biases),
            problems=tuple(map(clipped, self._problems)),
        )

    def _check_graph_outputs(self):
        outputs = [value.name for value in self._model.graph.output]
        if len(outputs) != 1:
            names = ", ".join(map(repr, outputs))
            self._problems.append(f"has {len(outputs)} outputs ({names}); exactly one is supported")
        for name in outputs:
            if name not in self._origins:
                self._problems.append(f"has an output {name!r} that no layer makes")
            elif name in self._readers:
                reader = self._readers[name]
                self._problems.append(f"has an output {name!r} that {reader} reads; a chain is expected")
            elif self._values[name].integers is not None:
                self._problems.append(f"has an output {name!r} of integers; a DequantizeLinear must follow")
        if not self._model.graph.node:
            self._problems.append("has no nodes; a network needs at least one layer")
        self._refuse_unread(set(outputs))

    def _refuse_unread(self, outputs):
        """A value that nothing reads belongs to a branch that we would drop silently."""
        made = {}
        for value, origin in self._origins.items():
            made.setdefault(origin, []).append(value)
        for name, entry in self._entries.items():
            used = [value for value in made.get(name, []) if value in outputs or value in self._readers]
            if entry.refused or used == made[name][:1]:
                continue
            if not used:
                reason = f"makes {made[name][0]!r}, which nothing reads; every layer must lead to the output"
            else:
                reason = f"has its output {used[-1]!r} in use; only the first output is supported"
            self._entries[name] = replace(entry, verdict=reason, refused=True)


def _plausible(shape):
    """A guessed shape, or None where no map could have it."""
    sizes = [1 if size is None else size for size in shape or ()]
    return shape if min(sizes, default=1) >= 1 and math.prod(sizes) <= MAX_MAP_VALUES else None
