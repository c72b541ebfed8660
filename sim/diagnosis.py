"""What went wrong in a simulation, in words: a machine that stopped, or an output that differs."""

import numpy as np

from quantflow.isa import Unit
from quantflow.registers import FAILED, Error

# The unit that alone can raise an error.
CULPRITS = {Error.READ_RESPONSE: "load", Error.WRITE_RESPONSE: "store"}


def describe_stop(result, program):
    """Why a run did not finish, naming the stalled unit and its instruction.

    `result` is what sim/host.py reports of a run, `program` its manifest.ProgramRecord.
    """
    pending = _pending(result, program)
    if result["status"] & FAILED:
        code = result["error"]
        name = Error(code).name.lower().replace("_", " ") if code in list(Error) else f"error {code}"
        culprit = CULPRITS.get(code)
        named = [culprit] if culprit in pending else list(pending)
        return f"the machine stopped with {name} after {result['cycles']} cycles; " + _at(named, pending)
    working = [unit for unit in pending if unit in result["busy"] and unit not in result["waiting"]]
    waiting = [unit for unit in pending if unit in result["waiting"]]
    still = f"the machine stands still after {result['cycles']} cycles: "
    if working:
        message = f"{' and '.join(working)} gets no further; " + _at(working, pending)
        if waiting:
            message += f" ({' and '.join(waiting)} waits for a token)"
        return still + message
    if waiting:
        return still + f"{' and '.join(waiting)} waits for a token that nobody sends; " + _at(waiting, pending)
    if pending:
        return still + "no unit has an instruction, so fetching gets no further; " + _at(list(pending), pending)
    return still + "every instruction is finished, but the machine does not report that it is done"


def _pending(result, program):
    """Unit name to (index, record) of its first unfinished instruction."""
    pending = {}
    for unit in (u.name.lower() for u in Unit):
        own, retired = program.of_unit(unit), result[f"{unit}_retired"]
        if retired < len(own):
            pending[unit] = own[retired]
    return pending


def _at(units, pending):
    if not units:
        return "every unit has finished its instructions"
    return "; ".join(
        f"{unit} is at instruction {pending[unit][0]}: {pending[unit][1].text}  ({pending[unit][1].label})"
        for unit in units
    )


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
