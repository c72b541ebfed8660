"""A stand-in for a machine: registers and memory as the driver sees them, answers that are known beforehand."""

import random

from boards.driver import Link
from quantflow.registers import DONE, FAILED, START, Register


class StandIn:
    """The machine of a build with one memory port, which knows the outputs of some integer images.

    `error`, where it is set, is what a run ends with; `retired` are the cycles in which the compute instructions of
    the last run retired.
    """

    def __init__(self, manifest, images, expected):
        self.manifest, self.error, self.runs = manifest, 0, []
        self.memory = bytearray(manifest.memory_bytes)
        self.registers = {int(register): 0 for register in Register} | {int(Register.IDENTITY): manifest.identity}
        self.registers |= {Register.BASE + 4 * n: 0 for n in range(4)} | {Register.PORT_BASE: 0}
        self.registers |= {Register.REGION_SIZE + 4 * n: 0 for n in range(4)}
        packed = (manifest.input.pack(image).tobytes() for image in images)
        self._outputs = {
            each: manifest.output.pack(output).tobytes() for each, output in zip(packed, expected, strict=True)
        }

    def read_register(self, address):
        return self.registers[address]

    def write_register(self, address, value):
        self.registers[address] = value
        if address == Register.CONTROL and value == START:
            self._run()
        if address == Register.PROFILE_INDEX:
            self.registers[Register.PROFILE_CYCLES] = self.retired[value]

    def _run(self):
        manifest, registers = self.manifest, self.registers
        offset = registers[Register.PROGRAM_ADDRESS] - manifest.model_address
        (name,) = (name for name, program in manifest.programs.items() if program.offset == offset)
        self.runs.append(name)
        program, chosen = manifest.programs[name], random.Random(len(self.runs))
        assert registers[Register.PROGRAM_LENGTH] == len(program.instructions)
        count = len(program.of_unit("compute"))
        cycles = [chosen.randrange(1, 1000) for _ in range(count + 1)]
        self.retired = [sum(cycles[: n + 1]) for n in range(count)]
        registers[Register.CYCLES] = sum(cycles)
        registers[Register.COMPUTE_RETIRED] = count
        registers[Register.STATUS], registers[Register.ERROR] = (FAILED, self.error) if self.error else (DONE, 0)
        first, size = manifest.input_address, manifest.input.bytes
        output = self._outputs[bytes(self.memory[first : first + size])]
        self.memory[manifest.output_address : manifest.output_address + len(output)] = output


class StandInLink(Link):
    """Reaches a StandIn at once."""

    def __init__(self, machine):
        self.machine = machine

    def read_register(self, address):
        return self.machine.read_register(address)

    def write_register(self, address, value):
        self.machine.write_register(address, value)

    def read_memory(self, address, size):
        return bytes(self.machine.memory[address : address + size])

    def write_memory(self, address, data):
        self.machine.memory[address : address + len(data)] = data
