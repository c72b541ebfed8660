"""What may go wrong with a run: each fault spoils what the machine is given, and says how the run may end."""

import functools
from dataclasses import dataclass, fields, is_dataclass, replace

import numpy as np
from hypothesis import strategies as st

from quantflow import isa
from quantflow.registers import Error
from quantflow.seal import seal
from tests.sim.machines import MEMORY_BYTES

MOST_FLIPS = 8
ANY = tuple(Error)[1:]


@dataclass
class Order:
    """A run as a test asks for it; `errors`: how it may fail, `harmless`: whether it may also be done, and right."""

    program: tuple[int, int]  # byte address, instructions
    bases: list[int]
    sizes: list[int]
    memory: dict  # inputs of sim/axi_memory.sv
    errors: tuple = ANY
    harmless: bool = False
    may_be_wrong: bool = False  # the program asks for something else


class Faults:
    """Draws a fault, spoils the machine's memory accordingly and returns the Order of the run."""

    def __init__(self, draw, deployed, machine):
        self.draw, self.deployed, self.machine, self.config = draw, deployed, machine, deployed.config
        self.size = isa.instruction_bits(self.config) // 8
        self.address, self.length = deployed.program("cold")

    def integer(self, low, high):
        return self.draw(st.integers(low, high))

    def order(self, **changes):
        place = {"bases": list(self.deployed.bases), "sizes": list(self.deployed.sizes), "memory": {}}
        return Order(**{"program": (self.address, self.length)} | place | changes)

    def _write(self, offset, data):
        """Put bytes into the program."""
        end = self.length * self.size
        program = self.machine.memory[self.address : self.address + end].copy()
        program[offset : offset + len(data)] = np.frombuffer(bytes(data), np.uint8)[: end - offset]
        self.machine.load(self.address, program.tobytes())

    def flipped_bits(self):
        places = self.draw(st.sets(st.integers(0, 8 * self.size * self.length - 1), min_size=1, max_size=MOST_FLIPS))
        program = self.machine.memory[self.address :][: self.length * self.size].copy()
        for place in places:
            program[place // 8] ^= 1 << place % 8
        self._write(0, program.tobytes())
        return self.order(errors=(Error.DAMAGED_PROGRAM,))

    def length_cut(self):
        return self.order(program=(self.address, self.integer(0, self.length - 1)), errors=(Error.DAMAGED_PROGRAM,))

    def length_beyond(self):
        errors = (Error.DAMAGED_PROGRAM, Error.READ_RESPONSE)
        return self.order(program=(self.address, self.length + self.integer(1, 1 << 20)), errors=errors)

    def program_overwritten(self):
        offset = self.integer(0, self.length * self.size - 1)
        kind = self.draw(st.sampled_from([b"\0", b"\xff", b"\x5a\x17\xc3"]))
        self._write(offset, kind * MEMORY_BYTES)
        # Ending in the last bytes as they were is possible, and harmless.
        return self.order(errors=(Error.DAMAGED_PROGRAM,), harmless=True)

    def program_elsewhere(self):
        beat = self.config.beat_bytes
        address = self.integer(0, 2 * MEMORY_BYTES // beat) * beat
        errors = (Error.DAMAGED_PROGRAM, Error.READ_RESPONSE)
        return self.order(program=(address, self.length), errors=errors, harmless=address == self.address)

    def bus_errors(self):
        width = self.config.port_bytes
        region = self.integer(0, len(self.deployed.bases) - 1)
        port = self.integer(0, self.config.ports - 1) * MEMORY_BYTES // self.config.ports
        within = self.integer(0, max(0, self.deployed.sizes[region] - 1))
        first = (port + (self.deployed.bases[region] + within) // self.config.ports) // width
        memory = {"error_first": first, "error_last": first + self.integer(0, 64)}
        return self.order(memory=memory, errors=(Error.READ_RESPONSE, Error.WRITE_RESPONSE), harmless=True)

    def region_outside_of_the_memory(self):
        order = self.order(harmless=True)
        region = self.integer(0, len(order.bases) - 1)
        order.bases[region] = MEMORY_BYTES + self.integer(0, 1 << 14) * 4096
        # The machine's regions are not the memory's any more: no bytes are its own but those of the others.
        order.errors = (Error.READ_RESPONSE, Error.WRITE_RESPONSE)
        return order

    def region_too_small(self):
        order = self.order(errors=(Error.MEMORY_ADDRESS,), harmless=True)
        region = self.integer(0, len(order.sizes) - 1)
        order.sizes[region] = self.integer(0, max(0, order.sizes[region] - 1))
        return order

    def other_field(self):
        """A program that is sealed, but has another number in a field of an instruction: addresses, tokens, regions."""
        program = self.deployed.deployment.programs["cold"]
        number = self.integer(0, self.length - 1)
        instruction = self._changed(program.instructions[number])
        word = isa.encode(instruction, self.config)
        self._write(number * self.size, seal(word, self.config, last=number == self.length - 1))
        return self.order(harmless=True, may_be_wrong=True)

    def _changed(self, instruction):
        places = [path for path in _paths(type(instruction), self.config) if path[0][-1] in HARMFUL]
        path, bits, signed = self.draw(st.sampled_from(places))
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        return _replaced(instruction, path, self.integer(low, high))


# Fields that change what is touched and awaited, not how long a unit works.
HARMFUL = {
    "wait", "signal", "target", "region", "width", "memory_address", "word_address", "beats", "operation", "address",
    "row_stride", "block_stride", "phase_stride", "phases", "phase", "bank", "group", "rows", "columns", "first_row",
    "weight_address", "parameter_address", "output_block_stride", "output_row_stride", "overlaps", "continues",
    "partial", "uniform", "residual_output_block_stride", "dropped_bits", "least", "output_columns",
}  # fmt: skip


@functools.cache
def _paths(type_, config):
    """(names from the outside to the inside, bits, signed) of all fields that have bits, but the opcode."""
    found = []
    for field in fields(type_):
        if not isa.field_bits(field, config):
            continue
        if "struct" in field.metadata:
            inner = _paths(field.metadata["struct"], config)
            found += [((field.name, *path), bits, signed) for path, bits, signed in inner]
        elif field.name != "opcode":
            found.append(((field.name,), isa.field_bits(field, config), field.metadata["signed"]))
    return found


def _replaced(instruction, path, value):
    name, *rest = path
    inner = getattr(instruction, name)
    return replace(instruction, **{name: _replaced(inner, rest, value) if is_dataclass(inner) else value})


KINDS = [name for name, value in vars(Faults).items() if not name.startswith("_") and name not in ("integer", "order")]
