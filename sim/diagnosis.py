"""What went wrong in a simulation, in words: a machine that stopped, or an output that differs."""

import numpy as np

from quantflow.registers import FAILED
from quantflow.stops import describe_error, pending_instructions, places


def describe_stop(result, program):
    """Why a run did not finish, naming the stalled unit and its instruction.

    `result` is what sim/host.py reports of a run, `program` its manifest.ProgramRecord.
    """
    if result["status"] & FAILED:
        return describe_error(result["error"], result, program)
    pending = pending_instructions(result, program)
    working = [unit for unit in pending if unit in result["busy"] and unit not in result["waiting"]]
    waiting = [unit for unit in pending if unit in result["waiting"]]
    still = f"the machine stands still after {result['cycles']} cycles: "
    if working:
        message = f"{' and '.join(working)} gets no further; " + places(working, pending)
        if waiting:
            message += f" ({' and '.join(waiting)} waits for a token)"
        return still + message
    if waiting:
        return still + f"{' and '.join(waiting)} waits for a token that nobody sends; " + places(waiting, pending)
    if pending:
        return still + "no unit has an instruction, so fetching gets no further; " + places(list(pending), pending)
    return still + "every instruction is finished, but the machine does not report that it is done"


def describe_difference(layer, expected, got):
    """The first element at which two maps [C, H, W] differ, and how many do; None where none does."""
    wrong = np.argwhere(expected != got)
    if not len(wrong):
        return None
    c, y, x = (int(n) for n in wrong[0])
    return (
        f"layer {layer}, channel {c}, pixel (row {y}, column {x}): "
        f"expected {int(expected[c, y, x])}, got {int(got[c, y, x])} "
        f"({len(wrong)} of {expected.size} values differ)"
    )
