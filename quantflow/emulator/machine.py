"""The meaning of a program: instruction words executed on modelled memories.

The emulator is exact in every integer and indifferent to time. Its three units run their
instructions in order and synchronise with tokens only; `seed` picks among the interleavings that
the tokens allow, so a program that lacks a token gives different results for different seeds.
Without `config.overlap` instructions run in the program's order, and tokens are not looked at.
"""

from collections import deque

import numpy as np

from quantflow import isa, packing
from quantflow.emulator.compute import compute
from quantflow.emulator.scratchpads import EmulationError, Scratchpads
from quantflow.isa import WRITABLE, Opcode, Region, Target, Unit
from quantflow.registers import UNBOUNDED
from quantflow.seal import is_last, remainder


class Emulator(Scratchpads):
    """One machine: scratchpads, base addresses and a byte-addressed memory.

    `memory` is a uint8 array that programs read and write in place; `bases` are the byte
    addresses of the regions, in isa.Region's order, `sizes` their bytes, by default unbounded.
    """

    def __init__(self, config, memory, bases, sizes=(UNBOUNDED,) * len(Region)):
        super().__init__(config)
        self.memory, self.bases, self.sizes = memory, bases, sizes

    def run(self, address, length, *, seed=0):
        """Execute `length` instructions that lie in memory at byte `address`."""
        program = [self._fetch(address, length, index) for index in range(length)]
        if self.config.overlap:
            self._run_overlapped(program, seed)
        else:
            for index, instruction in enumerate(program):
                self._perform(index, instruction)

    def _fetch(self, address, length, index):
        size = isa.instruction_bits(self.config) // 8
        word = self._read(address + index * size, size).tobytes()
        if remainder(word) or is_last(word) != (index == length - 1):
            raise EmulationError(f"instruction {index} is damaged, or not where its program ends")
        return isa.decode(int.from_bytes(word, "little"), self.config)

    def _run_overlapped(self, program, seed):
        """Each unit's instructions in order, as tokens allow."""
        queues = {unit: deque() for unit in Unit}
        for index, instruction in enumerate(program):
            queues[_unit(instruction)].append((index, instruction))
        tokens = {(sender, receiver): 0 for sender in Unit for receiver in Unit}
        choose = np.random.default_rng(seed)
        while any(queues.values()):
            ready = [unit for unit in Unit if queues[unit] and not _lacking(queues[unit][0][1], unit, tokens)]
            if not ready:
                raise EmulationError(f"deadlock: {_describe_waiting(queues, tokens)}")
            unit = ready[choose.integers(len(ready))]
            index, instruction = queues[unit].popleft()
            for sender in _members(instruction.wait):
                tokens[sender, unit] -= 1
            self._perform(index, instruction)
            for receiver in _members(instruction.signal):
                tokens[unit, receiver] += 1

    def _perform(self, index, instruction):
        try:
            self.execute(instruction)
        except EmulationError as error:
            raise EmulationError(f"instruction {index} ({_unit(instruction).name.lower()}): {error}") from None

    def execute(self, instruction):
        """Perform one instruction on the memories, without regard to tokens."""
        match instruction.opcode:
            case Opcode.LOAD:
                self._load(instruction)
            case Opcode.COMPUTE:
                compute(self, instruction)
            case Opcode.STORE:
                self._store(instruction)

    # Memory

    def _read(self, address, size):
        if not 0 <= address <= len(self.memory) - size:
            raise EmulationError(f"memory [{address}, {address + size}) does not exist")
        return self.memory[address : address + size]

    def _transfer(self, instruction):
        """The memory bytes that a load or store moves."""
        address, size = instruction.memory_address, instruction.beats * self.config.beat_bytes
        if address + size > self.sizes[instruction.region]:
            name = Region(instruction.region).name.lower()
            raise EmulationError(f"bytes [{address}, {address + size}) are outside the {name} region")
        return self._read(self.bases[instruction.region] + address, size)

    def _load(self, load):
        data = self._transfer(load)
        lanes = self.config.lanes
        match load.target:
            case Target.ACTIVATION:
                banks = self._bank_rows(load)
                rows = packing.unpack_bank_rows(data, self.config)
                self.activations[:, banks] = self.as_word(rows).transpose(1, 0, 2)
            case Target.WEIGHT:
                words = packing.unpack_words(data, 2 << load.width, lanes * lanes)
                first = self.weight_range(load.word_address, len(words))
                self.weights[first] = words.reshape(-1, lanes, lanes)
            case Target.PARAMETER:
                bias, shift, greatest = packing.unpack_parameters(data, self.config)
                rows = self.parameter_range(load.word_address, len(bias))
                self.bias[rows], self.shift[rows], self.greatest[rows] = bias, shift, greatest
            case _:
                raise EmulationError(f"load target {load.target} does not exist")

    def _store(self, store):
        if store.region not in WRITABLE:
            raise EmulationError(f"the {Region(store.region).name.lower()} region is only read")
        words = self.activations[:, self._bank_rows(store)].transpose(1, 0, 2)
        self._transfer(store)[:] = packing.pack_bank_rows(words, self.config)

    def _bank_rows(self, transfer):
        """The addresses of the banks that a load or store moves."""
        count, rest = divmod(transfer.beats, self.config.bank_row_beats)
        if rest:
            raise EmulationError(f"{transfer.beats} beats are not whole rows of {self.config.bank_row_beats}")
        return self.bank_rows(transfer.word_address, count)


def _unit(instruction):
    return Unit(instruction.opcode - Opcode.LOAD)


def _members(mask):
    return [unit for unit in Unit if mask >> unit & 1]


def _lacking(instruction, unit, tokens):
    """Units from which `unit` still waits for a token."""
    return [sender for sender in _members(instruction.wait) if not tokens[sender, unit]]


def _describe_waiting(queues, tokens):
    return "; ".join(
        f"{unit.name.lower()} waits at instruction {queue[0][0]} for "
        + " and ".join(sender.name.lower() for sender in _lacking(queue[0][1], unit, tokens))
        for unit, queue in queues.items()
        if queue
    )
