"""Programs as text: one line an instruction, every field that differs from its usual value."""

from dataclasses import fields, is_dataclass

from quantflow.isa import Opcode, Operation, Region, Target, Unit

_NAMES = {"target": Target, "region": Region, "operation": Operation}


def format_instruction(instruction):
    """One line: opcode, tokens awaited and sent, and the fields by name; zero fields are left out."""
    words = [f"{Opcode(instruction.opcode).name.lower():7}", _tokens(instruction)]
    for f in fields(instruction):
        value = getattr(instruction, f.name)
        if f.name in ("opcode", "wait", "signal"):
            continue
        if f.name in _NAMES:
            words.append(_NAMES[f.name](value).name.lower())
        elif is_dataclass(value):
            inner = [f"{g.name}={getattr(value, g.name)}" for g in fields(value) if getattr(value, g.name)]
            if inner:
                words.append(f"{f.name}({' '.join(inner)})")
        elif value:
            words.append(f"{f.name}={value:#x}" if f.name == "memory_address" else f"{f.name}={value}")
    return " ".join(words)


def format_program(instructions, labels):
    """The whole program, numbered, each instruction with the compiler's label for it."""
    lines = []
    for index, (instruction, label) in enumerate(zip(instructions, labels, strict=True)):
        lines.append(f"{index:4}  {format_instruction(instruction)}  ; {label}")
    return "\n".join(lines)


def _tokens(instruction):
    return f"[{_units(instruction.wait):>2}>{_units(instruction.signal):<2}]"


def _units(mask):
    return "".join(unit.name[0] for unit in Unit if mask >> unit & 1)
