"""The unit that performs compute instructions."""

from amaranth import Module, Mux
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.compute.activation_reader import ActivationReader
from hdl.compute.completion import Completion
from hdl.compute.compute_control import ComputeControl
from hdl.compute.write_back import WriteBack
from hdl.compute.write_instruction import WriteInstruction
from hdl.datapath.drain_bank import DrainBank
from hdl.datapath.mac_array import MacArray
from hdl.datapath.requantizer import Requantizer
from hdl.datapath.vector_unit import VectorUnit
from hdl.delay import delayed
from hdl.layouts import Vector, activation_word, parameter_word, struct_layout, weight_word
from hdl.scratchpad.activation_scratchpad import write_layout
from hdl.sequencing.read_address import ReadAddress
from hdl.sequencing.read_sequencer import ReadSequencer
from hdl.sequencing.write_sequencer import WriteSequencer
from quantflow import isa


class ComputeUnit(wiring.Component):
    """Performs `isa.Compute`: reads, multiplies or compares, drains, requantizes, pools, writes.

    Three instructions may be under way: one being read, one that waits to be drained, one being
    written. A group of P pixels takes max(steps, D) cycles, where D = ceil(P / R) and steps =
    residual_passes * residual_blocks + passes * kernel_rows * kernel_columns * input_blocks. An
    instruction adds

        start_cycles      from the cycle in which it is offered, which is 0, to its first step where nothing runs
        done_cycles       from its last step, which is 0, to `done`
        overlap_cycles    from the last step of the instruction before to its first, with `overlaps`
        wait_cycles       the same without, where that one drains
        boundary_cycles   from the last step of the instruction before to the last step of its own
                          first group, at least, where both drain; switch_cycles where their
                          operations differ
        copy_cycles       from the last step of the first group of an instruction of each Operation
                          that drains to the first step of the second one behind it, at least

    `done` pulses for each instruction, in order, when its last word lies in the scratchpad. Between
    sequencers and scratchpad all pipelines have fixed latency, with no back-pressure: the
    scratchpads must answer in one cycle, every time.

    Ports: instructions In(stream of isa.Compute); done, busy, step Out(1); error_illegal,
    error_address, error_weight_address Out(1), pulses; read_enable, read_addresses Out,
    read_data In, writes Out: the activation scratchpad; weight_address, parameter_address Out,
    weight_data, parameter_data In: the others.
    """

    start_cycles = ComputeControl.latency + 1
    overlap_cycles = 3

    def __init__(self, config):
        self.config = config
        self._mac_array, self._vector_unit = MacArray(config), VectorUnit(config)
        self._write_back = WriteBack(config)
        super().__init__({
            "instructions": In(stream.Signature(struct_layout(isa.Compute, config))),
            "done": Out(1),
            "busy": Out(1),
            "step": Out(1),
            "error_illegal": Out(1),
            "error_address": Out(1),
            "error_weight_address": Out(1),
            "read_enable": Out(1),
            "read_addresses": Out(data.ArrayLayout(config.activation_address_bits, config.pixels)),
            "read_data": In(Vector(activation_word(config), config.pixels)),
            "writes": Out(Vector(write_layout(config), config.pixels)),
            "weight_address": Out(config.weight_address_bits),
            "weight_data": In(weight_word(config)),
            "parameter_address": Out(config.parameter_address_bits),
            "parameter_data": In(parameter_word(config)),
        })

    @property
    def done_cycles(self):
        """The same for both operations and for sums that are not drained: instructions end in order."""
        array = max(self._mac_array.latency, self._vector_unit.latency)
        draining = DrainBank.latency + self.config.drain_cycles - 1
        writing = WriteSequencer.latency + self._write_back.latency + 1
        return 1 + ActivationReader.latency + array + draining + writing

    @property
    def wait_cycles(self):
        """The first read comes in the cycle of `done`, at the earliest."""
        return max(self.overlap_cycles, self.done_cycles - 1 - ReadAddress.latency)

    @property
    def boundary_cycles(self):
        """The last words drained have left all that follows the write side's instruction before it changes."""
        settling = WriteSequencer.latency + self._write_back.settling
        return self.config.drain_cycles + settling + WriteSequencer.lead

    @property
    def switch_cycles(self):
        return self.boundary_cycles + abs(self._mac_array.latency - self._vector_unit.latency)

    @property
    def copy_cycles(self):
        arrays = self._mac_array, self._vector_unit
        return tuple(ActivationReader.latency + array.latency - WriteInstruction.lead + 4 for array in arrays)

    @property
    def overhead_cycles(self):
        """Cycles from the offer of an instruction to `done`, both included, beyond its steps."""
        return self.start_cycles + self.done_cycles

    def elaborate(self, platform):
        m = Module()
        m.submodules.control = control = ComputeControl(self.config)
        m.submodules.read_sequencer = sequencer = ReadSequencer(
            self.config, boundary_cycles=self.boundary_cycles, switch_cycles=self.switch_cycles
        )
        m.submodules.activation_reader = reader = ActivationReader(self.config)
        m.submodules.write_instruction = write_instruction = WriteInstruction(self.config)
        m.submodules.write_sequencer = write_sequencer = WriteSequencer(self.config)
        m.submodules.write_back = write_back = self._write_back
        m.submodules.completion = completion = Completion(
            done_cycles=self.done_cycles, written_cycles=self.wait_cycles - self.overlap_cycles
        )
        wiring.connect(m, wiring.flipped(self.instructions), control.instructions)
        for part in (sequencer, reader):
            m.d.comb += part.instruction.eq(control.reading)
        for part in (write_sequencer, write_back):
            m.d.comb += part.instruction.eq(write_instruction.writing)
        m.d.comb += [
            control.running.eq(sequencer.running),
            control.written.eq(completion.written),
            control.copied.eq(write_instruction.copied),
            control.done.eq(completion.done),
            completion.ending.eq(sequencer.ending),
            completion.partial.eq(control.reading.partial),
            write_instruction.reading.eq(control.reading),
            write_instruction.begin.eq(control.start),
            sequencer.start.eq(control.start),
            write_sequencer.start.eq(write_instruction.start),
            reader.operand.eq(sequencer.operand),
            reader.read_data.eq(self.read_data),
            write_back.result.eq(write_sequencer.result),
            self.read_enable.eq(reader.read_enable),
            self.read_addresses.eq(reader.read_addresses),
            self.writes.eq(write_back.writes),
            self.weight_address.eq(reader.weight_address),
            self.parameter_address.eq(write_sequencer.parameter_address),
            self.step.eq(sequencer.step),
            self.busy.eq(control.busy),
            self.done.eq(completion.done),
        ]
        m.d.sync += [
            self.error_illegal.eq(control.error_illegal | write_back.error_illegal),
            self.error_address.eq(reader.error_address | write_back.error_address),
            self.error_weight_address.eq(sequencer.error_weight_address | write_sequencer.error_parameter_address),
        ]
        self._arrays(m, control.reading, reader, write_instruction)
        self._results(m, write_instruction.writing, write_sequencer, write_back)
        return m

    def _arrays(self, m, reading, reader, write_instruction):
        m.submodules.mac_array = mac_array = self._mac_array
        m.submodules.vector_unit = vector_unit = self._vector_unit
        # Block RAM is slow to answer: its words pass a register on their way into the arithmetic.
        weights = delayed(m, self.weight_data, 1, name="weights", reset_less=True)
        marks, drains = reader.marks, []
        for array, chosen in ((mac_array, ~marks.maximum), (vector_unit, marks.maximum)):
            m.d.comb += [
                array.activations.eq(reader.activations),
                array.valid.eq(marks.valid & chosen),
                array.first.eq(marks.first),
                array.last.eq(marks.last),
            ]
            initial, waiting = array.valid & marks.initial, array.latency - WriteInstruction.lead
            drains.append(delayed(m, initial, waiting, name=f"initial_{len(drains)}"))
        m.d.comb += [
            mac_array.weights.eq(weights),
            mac_array.shift.eq(marks.shift),
            vector_unit.inside.eq(reader.inside),
            vector_unit.least.eq(self._settled(m, reading.least, reader.latency)),
            write_instruction.drain.eq(drains[0] | drains[1]),
        ]

    def _settled(self, m, setting, cycles):
        """A field of `reading` as it was `cycles` ago: without overlap it is the same as long as it is used."""
        return delayed(m, setting, cycles, name="least", reset_less=True) if self.config.overlap else setting

    def _results(self, m, writing, write_sequencer, write_back):
        mac_array, vector_unit = self._mac_array, self._vector_unit
        maximum = writing.operation == isa.Operation.MAXIMUM
        m.submodules.drain_bank = drain_bank = DrainBank(self.config)
        m.submodules.requantizer = requantizer = Requantizer(self.config)
        parameters = delayed(m, self.parameter_data, 1, name="parameters", reset_less=True)
        m.d.comb += [
            drain_bank.accumulators.eq(Mux(maximum, vector_unit.maxima, mac_array.accumulators)),
            drain_bank.load.eq(mac_array.done | vector_unit.done),
            requantizer.words.eq(drain_bank.words),
            requantizer.valid.eq(drain_bank.valid),
            requantizer.parameters.eq(parameters),
            requantizer.least.eq(writing.least),
            requantizer.dropped_bits.eq(writing.dropped_bits),
            requantizer.bypass.eq(maximum),
            write_sequencer.valid.eq(drain_bank.valid),
            write_back.results.eq(requantizer.results),
        ]
