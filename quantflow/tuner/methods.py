"""The tuner's named methods, and the steps of the default one.

`paper` is Qiu et al., FPGA 2016, both phases with the absolute error. `max` (NonOverflow) and `mse` (MinMSE)
are the two rules of power-of-two quantizers in use, for weights and activations alike. `default` is the
paper's order of work with the steps below, each of which can be left out. The others have no steps, but take those
that are about formats without a sign bit where they are asked for.
"""

from dataclasses import dataclass

from quantflow.errors import UserError
from quantflow.tuner.objectives import ABSOLUTE, MAXIMUM, SQUARED

RANGE_FILLING = "range-filling"  # channels scaled by real factors, so that maps fill their ranges
EQUALIZATION = "equalization"  # depthwise networks, one fl a layer: channels scaled by powers of two where it pays
UNSIGNED_INPUT = "unsigned-input"  # a network input without negative values, of pixels say, has no sign bit
UNSIGNED_MAPS = "unsigned-maps"  # nor has a map that cannot be negative, behind a ReLU say
SQUARED_ERROR = "squared-error"  # fractional lengths of maps (and of weights, without output-error) by squared error
LEAST_SQUARES = "least-squares"  # the weights are first refitted to the quantized input
OUTPUT_ERROR = "output-error"  # the weights' fractional length by the error that it makes at the layer's output
COMPENSATION = "compensation"  # column by column, each column's rounding error is made up for by later columns
REFINEMENT = "refinement"  # then integer by integer, each taking its best value beside all others
BIAS_CORRECTION = "bias-correction"  # the mean error at the output goes into the bias

JOINT = "joint"  # at last, each map's fractional length moves to a neighbour where the network's output gains

SIGNS = (UNSIGNED_INPUT, UNSIGNED_MAPS)
STEPS = (
    *(RANGE_FILLING, EQUALIZATION, *SIGNS),
    *(SQUARED_ERROR, LEAST_SQUARES, OUTPUT_ERROR, COMPENSATION, REFINEMENT, BIAS_CORRECTION),
)


@dataclass(frozen=True, kw_only=True)
class Method:
    """How `tune` chooses: an objective for weights, one for maps, steps from STEPS, and the granularity."""

    weights: str
    activations: str
    steps: tuple[str, ...] = ()
    per_channel: bool = False  # one weight fractional length per output channel, else per layer

    def has(self, step):
        return step in self.steps


_OBJECTIVES = {"paper": ABSOLUTE, "max": MAXIMUM, "mse": SQUARED}
METHODS = (*_OBJECTIVES, "default")


def steps_of(name):
    """The steps that a method takes, and those that it takes only where they are asked for.

    Of the latter the default method has what has not paid on the networks measured. UserError for a name that does
    not exist.
    """
    if name not in METHODS:
        raise UserError(f"the tuner's methods are {', '.join(METHODS)}, not {name}")
    return (STEPS, (JOINT,)) if name == "default" else ((), SIGNS)


def find_method(name, steps=None, per_channel=False):
    """The Method of that name; UserError for a name or step that does not exist.

    `steps` are names from `steps_of`, by default those that the method takes without being asked. Without steps the
    default method is the paper's.
    """
    own, optional = steps_of(name)
    steps = own if steps is None else tuple(steps)
    for step in steps:
        if step not in (*own, *optional):
            raise UserError(f"the steps of the method {name} are {', '.join((*own, *optional))}, not {step}")
    objective = _OBJECTIVES.get(name, SQUARED if SQUARED_ERROR in steps else ABSOLUTE)
    return Method(weights=objective, activations=objective, steps=steps, per_channel=per_channel)
