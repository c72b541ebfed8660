"""The accelerator: engine, memory port and control port. Assembly only."""

from amaranth import Module, ResetInserter
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.bus.axi import lite_signature, named_ports, read_signature, write_signature
from hdl.bus.memory_reader import FETCH, LOAD, MemoryReader
from hdl.bus.memory_writer import MemoryWriter
from hdl.control.control import Control
from hdl.control.register_file import CONTROL_ADDRESS_BITS
from hdl.engine import Engine
from hdl.verilog import to_verilog
from quantflow.isa import Unit
from quantflow.registers import Error

TOP = "accelerator"
AXI_PORTS = {"memory_read": "m_axi_", "memory_write": "m_axi_", "control": "s_axil_"}
_TRACES = ("retired", "waiting", "busy")


def accelerator_ports(config):
    """The members of its signature."""
    return {
        "memory_read": Out(read_signature(config)).array(config.ports),
        "memory_write": Out(write_signature(config)).array(config.ports),
        "control": In(lite_signature(CONTROL_ADDRESS_BITS)),
        "interrupt": Out(1),
        "busy": Out(1),
        "failed": Out(1),
        **{f"trace_{unit.name.lower()}_{trace}": Out(1) for trace in _TRACES for unit in Unit},
    }


class Accelerator(wiring.Component):
    """AXI4 masters, ganged, for programs, weights and feature maps; one AXI4-Lite slave to run it.

    Registers and error codes are in `quantflow/registers.py`; `busy` and `failed` are bits of STATUS, for a board's
    lamps. The `trace_*` outputs say for each unit when it retires an instruction, lacks a token, or is busy; a board
    leaves them open.
    """

    def __init__(self, config):
        self.config = config
        super().__init__(accelerator_ports(config))

    def elaborate(self, platform):
        m = Module()
        m.submodules.control = control = Control(self.config)
        m.submodules.reader = reader = MemoryReader(self.config)
        m.submodules.writer = writer = MemoryWriter(self.config)
        engine = Engine(self.config)
        # A stop resets the engine only: the bus agents first finish what they owe the memory.
        m.submodules.engine = ResetInserter(control.clear)(engine)
        connect(m, flipped(self.control), control.axi)
        for port in range(self.config.ports):
            connect(m, reader.axi[port], flipped(self.memory_read[port]))
            connect(m, writer.axi[port], flipped(self.memory_write[port]))
        connect(m, engine.fetch_bursts, reader.bursts[FETCH])
        connect(m, reader.beats[FETCH], engine.fetch_beats)
        connect(m, engine.load_bursts, reader.bursts[LOAD])
        connect(m, reader.beats[LOAD], engine.load_beats)
        connect(m, engine.store_bursts, writer.bursts)
        connect(m, engine.store_beats, writer.beats)
        m.d.comb += [
            engine.start.eq(control.start),
            engine.program_address.eq(control.program_address),
            engine.program_length.eq(control.program_length),
            engine.bases.eq(control.bases),
            engine.region_sizes.eq(control.region_sizes),
            engine.writer_idle.eq(writer.idle),
            reader.bases.eq(control.port_bases),
            writer.bases.eq(control.port_bases),
            reader.flush.eq(control.flush),
            writer.flush.eq(control.flush),
            control.finished.eq(engine.finished & reader.idle & writer.idle),
            control.memory_idle.eq(reader.idle & writer.idle),
            self.interrupt.eq(control.interrupt),
            self.busy.eq(control.busy),
            self.failed.eq(control.failed),
        ]
        self._events(m, control, engine, reader, writer)
        self._errors(m, control, engine, reader, writer)
        return m

    def _events(self, m, control, engine, reader, writer):
        """What the counters count, and what the watchdog takes for progress."""
        events = control.events
        m.d.comb += [
            events.read_beats.eq(reader.beat),
            events.write_beats.eq(writer.beat),
            events.compute_steps.eq(engine.step),
            control.progress.eq(reader.beat | writer.beat | engine.step | engine.retired.any()),
        ]
        for unit in Unit:
            name = unit.name.lower()
            retired, waiting, busy = engine.retired[unit], engine.waiting[unit], engine.busy[unit]
            m.d.comb += [
                events[f"{name}_retired"].eq(retired),
                events[f"{name}_wait"].eq(waiting),
                events[f"{name}_busy"].eq(busy),
                getattr(self, f"trace_{name}_retired").eq(retired),
                getattr(self, f"trace_{name}_waiting").eq(waiting),
                getattr(self, f"trace_{name}_busy").eq(busy),
            ]

    def _errors(self, m, control, engine, reader, writer):
        m.d.comb += [
            control.errors.illegal_instruction.eq(engine.errors[Error.ILLEGAL_INSTRUCTION]),
            control.errors.activation_address.eq(engine.errors[Error.ACTIVATION_ADDRESS]),
            control.errors.weight_address.eq(engine.errors[Error.WEIGHT_ADDRESS]),
            control.errors.read_response.eq(reader.error),
            control.errors.write_response.eq(writer.error),
            control.errors.memory_address.eq(engine.errors[Error.MEMORY_ADDRESS]),
            control.errors.damaged_program.eq(engine.errors[Error.DAMAGED_PROGRAM]),
        ]


def accelerator_verilog(config):
    """The machine of a configuration as Verilog text; its top module is named `accelerator`."""
    accelerator = Accelerator(config)
    return to_verilog(accelerator, TOP, ports=named_ports(accelerator, AXI_PORTS))
