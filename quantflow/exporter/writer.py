"""The ONNX graph while it is written: nodes, constants and declared values, each under a name of its own."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
BATCH = "N"  # any number of images


class Writer:
    """Collects the parts of a graph. `reserved` names are given out only to those who ask for exactly them."""

    def __init__(self, reserved):
        self.nodes, self.constants, self.values = [], [], {}
        self._taken = set(reserved)

    def unused(self, wanted):
        """`wanted`, or with a number behind it where that name is taken."""
        name, number = wanted, 2
        while name in self._taken:
            name, number = f"{wanted}_{number}", number + 1
        self._taken.add(name)
        return name

    def constant(self, wanted, array):
        """Name of a new initializer that holds `array`."""
        name = self.unused(wanted)
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, operator, inputs, output, name=None, **attributes):
        """Add a node that makes `output`, a name that the caller owns; the output's name."""
        name = name or self.unused(f"{output}:{operator}")
        self.nodes.append(helper.make_node(operator, inputs, [output], name=name, **attributes))
        return output

    def declare(self, name, element_type, sizes):
        """Declare the type and shape of a value, `sizes` without the batch."""
        self.values[name] = helper.make_tensor_value_info(name, element_type, [BATCH, *sizes])

    def value(self, name):
        return self.values[name]
