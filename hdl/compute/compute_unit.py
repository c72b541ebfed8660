"""The unit that performs compute instructions."""

from amaranth import Module, Mux
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hdl.compute.activation_reader import ActivationReader
from hdl.compute.compute_control import ComputeControl
from hdl.compute.write_back import WriteBack
from hdl.datapath.drain_bank import DrainBank
from hdl.datapath.mac_array import MacArray
from hdl.datapath.requantizer import Requantizer
from hdl.datapath.vector_unit import VectorUnit
from hdl.delay import delayed
from hdl.layouts import Vector, activation_word, parameter_word, struct_layout, weight_word
from hdl.scratchpad.activation_scratchpad import write_layout
from hdl.sequencing.read_sequencer import ReadSequencer
from hdl.sequencing.write_sequencer import WriteSequencer
from quantflow import isa


class ComputeUnit(wiring.Component):
    """Performs `isa.Compute`: reads, multiplies or compares, drains, requantizes, pools, writes.

    One instruction at a time. It takes `overhead_cycles` plus max(steps, D) cycles for each group
    of P pixels, where steps = kernel_rows * kernel_columns * input_blocks and D = ceil(P / R), and
    as many groups as output_blocks * output_rows * output_groups * window_rows * window_columns
    (more while `yield_read` takes cycles away). `done` pulses when the last word lies in the
    scratchpad. Between sequencers and scratchpad all pipelines have fixed latency, with no
    back-pressure: the scratchpads must answer in one cycle, every time.

    Ports: instructions In(stream of isa.Compute); done, busy, step Out(1); error_illegal,
    error_address, error_weight_address Out(1), pulses; yield_read In(1), set while somebody waits
    for a cycle without `read_enable`; read_enable, read_addresses Out, read_data In, writes Out: the activation
    scratchpad; weight_address, parameter_address Out, weight_data, parameter_data In: the others.
    """

    def __init__(self, config):
        self.config = config
        self._mac_array = MacArray(config)
        self._write_back = WriteBack(config)
        super().__init__({
            "instructions": In(stream.Signature(struct_layout(isa.Compute, config))),
            "done": Out(1),
            "busy": Out(1),
            "step": Out(1),
            "error_illegal": Out(1),
            "error_address": Out(1),
            "error_weight_address": Out(1),
            "yield_read": In(1),
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
    def overhead_cycles(self):
        """Cycles from the transfer of an instruction to `done`, both included, beyond the groups'."""
        reading = ComputeControl.latency + ReadSequencer.latency + ActivationReader.latency
        array = max(self._mac_array.latency, VectorUnit.latency)
        draining = DrainBank.latency + self.config.drain_cycles - 1
        writing = WriteSequencer.latency + self._write_back.latency + 1
        return reading + array + draining + writing

    def elaborate(self, platform):
        m = Module()
        m.submodules.control = control = ComputeControl(self.config)
        m.submodules.read_sequencer = sequencer = ReadSequencer(self.config)
        m.submodules.activation_reader = reader = ActivationReader(self.config)
        m.submodules.write_sequencer = write_sequencer = WriteSequencer(self.config)
        m.submodules.write_back = write_back = self._write_back
        wiring.connect(m, wiring.flipped(self.instructions), control.instructions)
        for part in (sequencer, reader, write_sequencer, write_back):
            m.d.comb += part.instruction.eq(control.instruction)
        m.d.comb += [
            sequencer.start.eq(control.start),
            sequencer.yield_read.eq(self.yield_read),
            write_sequencer.start.eq(control.start),
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
            self.done.eq(control.done),
        ]
        m.d.sync += [
            self.error_illegal.eq(control.error_illegal | write_back.error_illegal),
            self.error_address.eq(reader.error_address | write_back.error_address),
            self.error_weight_address.eq(sequencer.error_weight_address | write_sequencer.error_parameter_address),
        ]
        self._datapath(m, control, reader, write_sequencer, write_back)
        return m

    def _datapath(self, m, control, reader, write_sequencer, write_back):
        instruction = control.instruction
        maximum = instruction.operation == isa.Operation.MAXIMUM
        m.submodules.mac_array = mac_array = self._mac_array
        m.submodules.vector_unit = vector_unit = VectorUnit(self.config)
        m.submodules.drain_bank = drain_bank = DrainBank(self.config)
        m.submodules.requantizer = requantizer = Requantizer(self.config)
        # Block RAM is slow to answer: its words pass a register on their way into the arithmetic.
        weights = delayed(m, self.weight_data, 1, name="weights", reset_less=True)
        parameters = delayed(m, self.parameter_data, 1, name="parameters", reset_less=True)
        for array, chosen in ((mac_array, ~maximum), (vector_unit, maximum)):
            m.d.comb += [
                array.activations.eq(reader.activations),
                array.valid.eq(reader.valid & chosen),
                array.first.eq(reader.first),
                array.last.eq(reader.last),
            ]
        m.d.comb += [
            mac_array.weights.eq(weights),
            vector_unit.inside.eq(reader.inside),
            drain_bank.accumulators.eq(Mux(maximum, vector_unit.maxima, mac_array.accumulators)),
            drain_bank.load.eq(mac_array.done | vector_unit.done),
            requantizer.words.eq(drain_bank.words),
            requantizer.valid.eq(drain_bank.valid),
            requantizer.parameters.eq(parameters),
            requantizer.relu.eq(instruction.relu),
            requantizer.output_bits.eq(instruction.output_bits),
            requantizer.bypass.eq(maximum),
            write_sequencer.valid.eq(drain_bank.valid),
            write_back.results.eq(requantizer.results),
        ]
        # Both operations take the same time, so that the cycle model has one constant.
        finished, longest = write_back.finished, max(mac_array.latency, vector_unit.latency)
        after_mac = delayed(m, finished & ~maximum, longest - mac_array.latency, name="after_mac")
        after_maximum = delayed(m, finished & maximum, longest - vector_unit.latency, name="after_maximum")
        m.d.comb += control.finished.eq(after_mac | after_maximum)
