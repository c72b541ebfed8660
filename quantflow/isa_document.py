"""The instruction set as a page, generated from `isa.py`.

    python -m quantflow.isa_document > docs/instruction_set.md
"""

import inspect
from dataclasses import fields

from quantflow import isa
from quantflow.config import Config

EXAMPLE = Config(pixels=2, lanes=8)

_HEAD = """# The instruction set

*Generated from `quantflow/isa.py` by `python -m quantflow.isa_document`; do not edit.*

All instructions of one machine have the same size, a whole number of memory beats. Field widths
follow from the configuration; the numbers below are those of a machine with P = {pixels},
I = O = {lanes}, whose instructions have {bits} bits. Fields lie from bit 0 upwards in the order
shown; one without bits, which a machine does without, always has the value behind the colon. A
program is a sequence of instructions; each unit performs its own in order, and the units run
concurrently, joined only by tokens.
"""


def instruction_set_page(config=EXAMPLE):
    """The page in Markdown."""
    parts = [_HEAD.format(pixels=config.pixels, lanes=config.lanes, bits=isa.instruction_bits(config))]
    parts += [_enumeration(type_) for type_ in (isa.Opcode, isa.Unit, isa.Target, isa.Region, isa.Operation)]
    parts += [_section(type_, config) for type_ in (isa.Position, isa.Map, isa.Instruction)]
    parts += [_section(type_, config) for type_ in isa.INSTRUCTIONS.values()]
    return "\n".join(parts)


def _enumeration(type_):
    values = ", ".join(f"{member.value} {member.name}" for member in type_)
    return f"**{type_.__name__}** ({inspect.getdoc(type_)}) {values}\n"


def _section(type_, config):
    bits = isa.struct_bits(type_, config)
    lines = [f"## {type_.__name__} ({bits} bits)", "", _prose(inspect.getdoc(type_)), ""]
    lines += ["| field | bits | meaning |", "|---|---|---|"]
    inherited = set() if type_ is isa.Instruction else {f.name for f in fields(isa.Instruction)}
    lines += [_row(f, config) for f in fields(type_) if f.name not in inherited]
    return "\n".join(lines) + "\n"


def _prose(text):
    """A docstring as Markdown: its indented loop nests become code blocks."""
    lines, code = [], False
    for line in text.splitlines():
        if line.startswith("    ") and not code:
            lines.append("```")
            code = True
        elif code and line and not line.startswith("    "):
            lines.insert(len(lines) - (not lines[-1]), "```")
            code = False
        lines.append(line[4:] if code else line)
    return "\n".join(lines + ["```"] if code else lines)


def _row(field, config):
    if "struct" in field.metadata:
        struct = field.metadata["struct"]
        width = f"{isa.struct_bits(struct, config)} ({struct.__name__})"
    else:
        bits = isa.field_bits(field, config)
        width = f"{bits}{' signed' if field.metadata['signed'] else ''}" if bits else "0"
        width += f", from {field.metadata['least']}" if field.metadata["least"] else ""
    return f"| `{field.name}` | {width} | {field.metadata['doc']} |"


if __name__ == "__main__":
    print(instruction_set_page(), end="")
