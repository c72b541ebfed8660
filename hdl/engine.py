"""Everything that a run uses and a stop resets: instruction path, units, scratchpads."""

from amaranth import Cat, Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.bus.axi import burst_layout
from hdl.compute.compute_unit import ComputeUnit
from hdl.delay import delayed
from hdl.instructions.instruction_path import InstructionPath
from hdl.scratchpad.activation_scratchpad import ActivationScratchpad
from hdl.scratchpad.word_scratchpad import parameter_scratchpad, weight_scratchpad
from hdl.transfer.bounded_bursts import BoundedBursts
from hdl.transfer.load_unit import LoadUnit
from hdl.transfer.store_unit import StoreUnit
from quantflow.isa import UNITS, Region, Unit
from quantflow.registers import Error


class Engine(wiring.Component):
    """The three units around the scratchpads, fed with instructions. Assembly only.

    It may be reset at any time; beats under way are then left to MemoryReader and MemoryWriter.

    Ports: start In, program_address, program_length, bases, region_sizes In; fetch_bursts, load_bursts,
    store_bursts Out and fetch_beats, load_beats In, store_beats Out: the memory port's clients;
    writer_idle In: every burst written has been answered; busy, waiting, retired Out: a bit per
    unit of `isa.Unit`; step Out: the array took operands; finished Out: nothing is left to do;
    errors Out: a bit per `registers.Error`, pulses.
    """

    def __init__(self, config):
        self.config = config
        bursts, beats = stream.Signature(burst_layout(config)), stream.Signature(unsigned(config.beat_bits))
        super().__init__({
            "start": In(1),
            "program_address": In(config.memory_address_bits),
            "program_length": In(config.memory_address_bits),
            "bases": In(data.ArrayLayout(config.memory_address_bits, len(Region))),
            "region_sizes": In(data.ArrayLayout(config.region_size_bits, len(Region))),
            "fetch_bursts": Out(bursts),
            "fetch_beats": In(beats),
            "load_bursts": Out(bursts),
            "load_beats": In(beats),
            "store_bursts": Out(bursts),
            "store_beats": Out(beats),
            "writer_idle": In(1),
            "busy": Out(UNITS),
            "waiting": Out(UNITS),
            "retired": Out(UNITS),
            "step": Out(1),
            "finished": Out(1),
            "errors": Out(len(Error)),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.path = path = InstructionPath(self.config)
        m.submodules.load_unit = load_unit = LoadUnit(self.config)
        m.submodules.compute_unit = compute_unit = ComputeUnit(self.config)
        m.submodules.store_unit = store_unit = StoreUnit(self.config)
        units = (load_unit, compute_unit, store_unit)
        connect(m, path.bursts, flipped(self.fetch_bursts))
        connect(m, flipped(self.fetch_beats), path.beats)
        for instructions, unit in zip((path.load, path.compute, path.store), units):
            connect(m, instructions, unit.instructions)
        m.d.comb += [
            path.start.eq(self.start),
            path.program_address.eq(self.program_address),
            path.program_length.eq(self.program_length),
            path.done.eq(Cat(unit.done for unit in units)),
            self.retired.eq(path.done),
            self.busy.eq(Cat(unit.busy for unit in units)),
            self.waiting.eq(path.waiting),
            self.step.eq(compute_unit.step),
            self.finished.eq(path.idle),
        ]
        self._memory_clients(m, path, load_unit, store_unit)
        scratchpad = self._scratchpads(m, load_unit, compute_unit, store_unit)
        self._errors(m, path, load_unit, compute_unit, store_unit, scratchpad)
        return m

    def _memory_clients(self, m, path, load_unit, store_unit):
        """Requests of loads and stores, inside their regions, become bursts."""
        units = (
            (Unit.LOAD, load_unit, path.load, self.load_bursts),
            (Unit.STORE, store_unit, path.store, self.store_bursts),
        )
        # Without overlap one of the two waits for the other anyway.
        shares = [[one] for one in units] if self.config.overlap else [units]
        errors = []
        for share in shares:
            name = "_and_".join(unit.name.lower() for unit, *_ in share)
            m.submodules[f"{name}_bursts"] = bounded = BoundedBursts(self.config, [unit for unit, *_ in share])
            errors.append(bounded.error)
            m.d.comb += bounded.sizes.eq(self.region_sizes)
            for unit, component, instructions, bursts in share:
                name = unit.name.lower()
                connect(m, component.requests, getattr(bounded, f"{name}_requests"))
                connect(m, getattr(bounded, f"{name}_bursts"), flipped(bursts))
                m.d.comb += [
                    getattr(bounded, name).eq(instructions.payload),
                    getattr(bounded, f"{name}_take").eq(instructions.valid & instructions.ready),
                ]
        connect(m, flipped(self.load_beats), load_unit.beats)
        connect(m, store_unit.beats, flipped(self.store_beats))
        m.d.comb += [
            load_unit.bases.eq(self.bases),
            store_unit.bases.eq(self.bases),
            store_unit.written.eq(self.writer_idle),
            self.errors[Error.MEMORY_ADDRESS].eq(Cat(errors).any()),
            self.errors[Error.DAMAGED_PROGRAM].eq(path.error_damaged),
        ]

    def _scratchpads(self, m, load_unit, compute_unit, store_unit):
        m.submodules.activations = activations = ActivationScratchpad(self.config)
        m.submodules.weights = weights = weight_scratchpad(self.config)
        m.submodules.parameters = parameters = parameter_scratchpad(self.config)
        connect(m, load_unit.activation_write, activations.load_write)
        connect(m, store_unit.store_read, activations.store_read)
        connect(m, activations.rows, store_unit.rows)
        m.d.comb += [
            activations.read_enable.eq(compute_unit.read_enable),
            activations.read_addresses.eq(compute_unit.read_addresses),
            compute_unit.read_data.eq(activations.read_data),
            activations.writes.eq(compute_unit.writes),
            weights.write.eq(self._on_its_way(m, load_unit.weight_write, "weight_write")),
            weights.read_address.eq(compute_unit.weight_address),
            compute_unit.weight_data.eq(weights.read_data),
            parameters.write.eq(self._on_its_way(m, load_unit.parameter_write, "parameter_write")),
            parameters.read_address.eq(compute_unit.parameter_address),
            compute_unit.parameter_data.eq(parameters.read_data),
        ]
        return activations

    def _on_its_way(self, m, write, name):
        """A load's write a cycle later: its memories are all over the FPGA, and `done` takes longer to be heard."""
        if not self.config.overlap:
            return write  # such a machine is small
        late = Signal.like(write, name=name)
        m.d.comb += [
            late.eq(delayed(m, write, 1, name=name, reset_less=True)),
            late.enable.eq(delayed(m, write.enable, 1, name=f"{name}_enable")),
        ]
        return late

    def _errors(self, m, path, load_unit, compute_unit, store_unit, scratchpad):
        illegal = Cat(part.error_illegal for part in (path, load_unit, compute_unit, store_unit)).any()
        m.d.comb += [
            self.errors[Error.ILLEGAL_INSTRUCTION].eq(illegal),
            self.errors[Error.ACTIVATION_ADDRESS].eq(compute_unit.error_address | scratchpad.error),
            self.errors[Error.WEIGHT_ADDRESS].eq(load_unit.error_address_weight | compute_unit.error_weight_address),
        ]
