"""Where a machine that stopped was: its error, and the instructions that it had not finished."""

from quantflow.isa import Unit
from quantflow.registers import Error

# The unit that alone can raise an error.
CULPRITS = {Error.READ_RESPONSE: "load", Error.WRITE_RESPONSE: "store"}


def describe_error(code, counters, program):
    """Why a run of `program`, a manifest.ProgramRecord, ended with error `code`.

    `counters` are the machine's afterwards, by name: `cycles`, and each unit's `..._retired`.
    """
    pending = pending_instructions(counters, program)
    name = Error(code).name.lower().replace("_", " ") if code in list(Error) else f"error {code}"
    culprit = CULPRITS.get(code)
    named = [culprit] if culprit in pending else list(pending)
    return f"the machine stopped with {name} after {counters['cycles']} cycles; " + places(named, pending)


def pending_instructions(counters, program):
    """Unit name to (index, record) of its first unfinished instruction."""
    pending = {}
    for unit in (u.name.lower() for u in Unit):
        own, retired = program.of_unit(unit), counters[f"{unit}_retired"]
        if retired < len(own):
            pending[unit] = own[retired]
    return pending


def places(units, pending):
    """Which of the `pending_instructions` these units are at, in words."""
    if not units:
        return "every unit has finished its instructions"
    return "; ".join(
        f"{unit} is at instruction {pending[unit][0]}: {pending[unit][1].text}  ({pending[unit][1].label})"
        for unit in units
    )
