"""What the lowering of every layer shares: where maps lie, and the stages made so far."""

import numpy as np

from quantflow.compiler.lowering.gather import Gather
from quantflow.compiler.lowering.homes import parents
from quantflow.compiler.lowering.linear import Terms, append_linear
from quantflow.compiler.stage import FeatureMap, View
from quantflow.errors import UserError
from quantflow.graph import Pad, Reshape, Slice, Window


class Lowering:
    """A network on its way: `stages` in execution order and `maps` (FeatureMap by name)."""

    def __init__(self, quantized, config):
        self.quantized, self.network, self.config = quantized, quantized.network, config
        self.layers = {layer.name: layer for layer in self.network.layers}
        self.stages, self.maps = [], {}
        self._parents = parents(quantized, config)
        self._made = {self.network.input_name}
        self.add_map(self.network.input_name, self.network.input_shape, quantized.input)

    def add_map(self, name, shape, format):
        self.maps[name] = FeatureMap(name=name, shape=tuple(map(int, shape)), format=format)

    def shape(self, name):
        return self.network.input_shape if name == self.network.input_name else self.layers[name].output_shape

    def shape_of_map(self, name):
        """As `shape`, also of the maps that lowering has made for itself."""
        return self.maps[name].shape if name in self.maps and name not in self.layers else self.shape(name)

    def view(self, name):
        """Where the map of a layer or of the network's input lies."""
        if name not in self._parents:
            return View(map=name)
        parent, block = self._parents[name]
        outer = self.view(parent)
        return View(map=outer.map, first_block=outer.first_block + block)

    def written(self, name):
        """The View that layer `name` writes; its map exists from now on."""
        view = self.view(name)
        self._made.add(name)
        if view.map not in self.maps:
            self.add_map(view.map, self.shape(view.map), self.quantized.output_format(view.map))
        return view

    def is_direct(self, name, concat, block):
        """Whether the map of layer `name` is written straight into the Concat's, from this block on."""
        return self._parents.get(name) == (concat, block)

    def gather(self, name):
        """What a reader of map `name` sees, through slices and paddings that have no map of their own."""
        layer = self.layers.get(name)
        if name in self._made or not isinstance(layer, Pad | Reshape | Slice):
            return Gather.whole(name, self.shape_of_map(name))
        if isinstance(layer, Reshape):
            if layer.output_shape != layer.input_shape:
                raise UserError(
                    f"layer {name} reshapes a map for another reader than a fully connected layer, "
                    "which the machine does not support yet"
                )
            return self.gather(layer.inputs[0])
        seen = self.gather(layer.inputs[0])
        seen = seen.cut(layer) if isinstance(layer, Slice) else seen.pad(layer)
        if seen.empty:
            raise UserError(f"layer {name} has nothing but padding, which the machine does not support yet")
        return seen

    def unpadded(self, name):
        """As `gather`, of rows and columns without padding: a residual can have none."""
        seen = self.gather(name)
        return self.materialize(seen, name) if seen.rows.padded or seen.columns.padded else seen

    def materialize(self, gather, name):
        """A Gather of a whole map with the same contents: the layer `name` gets a map of its own, if need be."""
        if gather.map == name or name in self._made:
            return Gather.whole(name, gather.shape)
        channels = len(gather.channels)
        format = self.quantized.output_format(name)
        append_linear(
            self,
            layers=(name,),
            terms=selection(gather),
            output_shape=gather.shape,
            destination=self.written(name),
            bias=np.zeros(channels, np.int64),
            shift=np.zeros(channels, np.int64),
            least=format.min,
            greatest=format.max,
        )
        return Gather.whole(name, gather.shape)


def selection(gather, channels=None, exponent=0):
    """Terms that pass on a Gather's channels, by default all, times 2**exponent (a number, or one for each)."""
    channels = np.arange(gather.shape[0]) if channels is None else channels
    weight = np.broadcast_to(np.int64(1) << np.asarray(exponent, np.int64), (len(channels),))
    weight = np.where(channels >= 0, weight, 0)
    return Terms(
        source=gather, channels=channels[:, None], weight=weight[:, None, None, None], window=Window(kernel=(1, 1))
    )
