"""The meaning of a program: instruction words executed on modelled memories.

The emulator is exact in every integer and indifferent to time. Its three units run their
instructions in order and synchronise with tokens only; `seed` picks among the interleavings that
the tokens allow, so a program that lacks a token gives different results for different seeds.
"""

from collections import deque

import numpy as np

from quantflow import isa, packing
from quantflow.arithmetic import round_half_even_shift, saturate, signed_bits
from quantflow.isa import Opcode, Operation, Target, Unit


class EmulationError(Exception):
    """An illegal access or a deadlock; the message names the instruction."""


class Emulator:
    """One machine: scratchpads, base addresses and a byte-addressed memory.

    `memory` is a uint8 array that programs read and write in place; `bases` are the byte
    addresses of the regions, in isa.Region's order.
    """

    def __init__(self, config, memory, bases):
        self.config, self.memory, self.bases = config, memory, bases
        lanes = config.lanes
        self.activations = np.zeros((config.pixels, config.activation_depth, lanes), np.int32)
        self.weights = np.zeros((config.weight_depth, lanes, lanes), np.int32)
        self.bias = np.zeros((config.parameter_depth, lanes), np.int64)
        self.shift = np.zeros((config.parameter_depth, lanes), np.int64)

    def run(self, address, length, *, seed=0):
        """Execute `length` instructions that lie in memory at byte `address`."""
        size = isa.instruction_bits(self.config) // 8
        queues = {unit: deque() for unit in Unit}
        for index in range(length):
            word = self._read(address + index * size, size)
            instruction = isa.decode(int.from_bytes(word.tobytes(), "little"), self.config)
            queues[Unit(instruction.opcode - Opcode.LOAD)].append((index, instruction))
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
            try:
                self.execute(instruction)
            except EmulationError as error:
                raise EmulationError(f"instruction {index} ({unit.name.lower()}): {error}") from None
            for receiver in _members(instruction.signal):
                tokens[unit, receiver] += 1

    def execute(self, instruction):
        """Perform one instruction on the memories, without regard to tokens."""
        match instruction.opcode:
            case Opcode.LOAD:
                self._load(instruction)
            case Opcode.COMPUTE:
                self._compute(instruction)
            case Opcode.STORE:
                self._store(instruction)

    # Memory

    def _read(self, address, size):
        if not 0 <= address <= len(self.memory) - size:
            raise EmulationError(f"memory [{address}, {address + size}) does not exist")
        return self.memory[address : address + size]

    def _transfer(self, instruction):
        """The memory bytes that a load or store moves."""
        address = self.bases[instruction.region] + instruction.memory_address
        return self._read(address, instruction.beats * self.config.port_bytes)

    def _load(self, load):
        data = self._transfer(load)
        lanes = self.config.lanes
        match load.target:
            case Target.ACTIVATION:
                words = packing.unpack_words(data, self.config.activation_container_bits, lanes)
                banks, addresses = self._map_words(load)
                self.activations[banks, addresses] = words.reshape(*banks.shape, lanes)
            case Target.WEIGHT:
                words = packing.unpack_words(data, 2 << load.width, lanes * lanes)
                first = self._range("weight", load.word_address, len(words), self.config.weight_depth)
                self.weights[first] = words.reshape(-1, lanes, lanes)
            case Target.PARAMETER:
                bias, shift = packing.unpack_parameters(data, self.config)
                rows = self._range("parameter", load.word_address, len(bias), self.config.parameter_depth)
                self.bias[rows], self.shift[rows] = bias, shift
            case _:
                raise EmulationError(f"load target {load.target} does not exist")

    def _store(self, store):
        banks, addresses = self._map_words(store)
        words = self.activations[banks, addresses].reshape(-1, self.config.lanes)
        self._transfer(store)[:] = packing.pack_words(words, self.config.activation_container_bits)

    def _range(self, name, start, count, depth):
        if start + count > depth:
            raise EmulationError(f"{name} words [{start}, {start + count}) exceed the depth of {depth}")
        return slice(start, start + count)

    def _map_words(self, transfer):
        """Banks and addresses, each [rows, columns, blocks], of a whole feature map."""
        map_ = transfer.map
        y, x, c = np.ix_(range(transfer.rows), range(transfer.columns), range(transfer.blocks))
        phase, unit = x % map_.phases, x // map_.phases
        address = map_.address + y * map_.row_stride + c * map_.block_stride + phase * map_.phase_stride
        address = self._checked(address + unit // self.config.pixels)
        return np.broadcast_to(unit % self.config.pixels, address.shape), address

    def _checked(self, address, used=True):
        """Addresses modulo the address width; those `used` must lie inside the banks."""
        address = address & ((1 << self.config.activation_address_bits) - 1)
        if np.any(used & (address >= self.config.activation_depth)):
            worst = int(np.max(np.where(used, address, 0)))
            raise EmulationError(f"activation address {worst} exceeds the depth of {self.config.activation_depth}")
        return np.where(used, address, 0)

    # Compute

    def _compute(self, compute):
        if compute.operation not in list(Operation):
            raise EmulationError(f"operation {compute.operation} does not exist")
        steps = compute.kernel_rows * compute.kernel_columns * compute.input_blocks
        for block in range(compute.output_blocks):
            best = None
            for wy in range(compute.window_rows):
                for wx in range(compute.window_columns):
                    taps, inside = self._gather(compute, block, wy, wx)
                    if compute.operation == Operation.MAXIMUM:
                        least = -(1 << (self.config.activation_bits - 1))
                        result = np.where(inside[..., None], taps, least).max(axis=(3, 4, 5))
                    else:
                        result = self._convolve(compute, block, steps, np.where(inside[..., None], taps, 0))
                    if compute.relu:
                        result = np.maximum(result, 0)
                    result = saturate(result, compute.output_bits)
                    best = result if best is None else np.maximum(best, result)
            self._scatter(compute, block, best)

    def _gather(self, compute, block, wy, wx):
        """Words [oy, og, p, ky, kx, c, lanes] of one window position, and which exist (no lanes)."""
        map_, pixels = compute.source, self.config.pixels
        oy, og, p, ky, kx, c = np.ix_(
            range(compute.output_rows), range(compute.output_groups), range(pixels),
            range(compute.kernel_rows), range(compute.kernel_columns), range(compute.input_blocks),
        )  # fmt: skip
        if compute.operation == Operation.MAXIMUM:
            c = c + block
        row = compute.first_row + oy * compute.output_row_step + wy * compute.window_row_step + ky
        column = compute.first.phase + wx * compute.window_phase_step + kx
        phase, carry = column % map_.phases, column // map_.phases
        unit = pixels * (compute.first.group + og) + compute.first.bank + carry + p
        inside = (row >= 0) & (row < compute.rows) & (unit >= 0)
        inside = inside & (unit < compute.columns + (phase < compute.columns_remainder)) & (c >= 0)
        address = map_.address + oy * compute.output_row_stride + wy * compute.window_row_stride
        address = address + ky * map_.row_stride + c * map_.block_stride
        address = self._checked(address + phase * map_.phase_stride + unit // pixels, inside)
        return self.activations[unit % pixels, address], inside

    def _convolve(self, compute, block, steps, taps):
        first = compute.weight_address + block * steps
        words = self._range("weight", first, steps, self.config.weight_depth)
        row = self._range("parameter", compute.parameter_address + block, 1, self.config.parameter_depth)
        weights = self.weights[words].transpose(0, 2, 1).reshape(-1, self.config.lanes)
        # Exact in float64: operands have at most 16 bits, and fewer than 2**22 products are summed.
        sums = taps.reshape(*taps.shape[:3], -1).astype(np.float64) @ weights.astype(np.float64)
        if signed_bits(sums.min(), sums.max()) > self.config.accumulator_bits:
            raise EmulationError(f"an accumulator exceeds {self.config.accumulator_bits} bits")
        return round_half_even_shift(sums.astype(np.int64) + self.bias[row], self.shift[row])

    def _scatter(self, compute, block, words):
        """Write [oy, og, p, lanes] to the destination, as drained: D cycles of R words."""
        map_, pixels, cycles = compute.destination, self.config.pixels, self.config.drain_cycles
        for og in range(compute.output_groups):
            for cycle in range(cycles):
                written = set()
                for word, p in enumerate(range(cycle, pixels, cycles)):
                    if og * pixels + p >= compute.output_columns:
                        continue
                    phase, bank, group = self._position(compute, og, word, cycle)
                    if bank in written:
                        raise EmulationError(f"two words of drain cycle {cycle} go to bank {bank}")
                    written.add(bank)
                    address = map_.address + block * map_.block_stride + phase * map_.phase_stride + group
                    rows = self._checked(address + np.arange(compute.output_rows) * map_.row_stride)
                    self.activations[bank, rows] = words[:, og, p]

    def _position(self, compute, og, word, cycle):
        """Mixed-radix sum of `og` group steps, `word` word steps and `cycle` columns."""
        phases, pixels = compute.destination.phases, self.config.pixels
        phase = og * compute.group_step.phase + word * compute.word_step.phase + cycle
        bank = og * compute.group_step.bank + word * compute.word_step.bank + phase // phases
        group = og * compute.group_step.group + word * compute.word_step.group + bank // pixels
        return phase % phases, bank % pixels, group


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
