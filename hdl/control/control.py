"""The host's side of the machine: registers, runs, counters, watchdog."""

from amaranth import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from hdl.bus.axi import lite_signature
from hdl.bus.axi_lite_slave import AxiLiteSlave
from hdl.control.performance_counters import EVENTS, PerformanceCounters
from hdl.control.profile import Profile
from hdl.control.register_file import CONTROL_ADDRESS_BITS, RegisterFile
from hdl.control.run_sequencer import RunSequencer
from hdl.control.watchdog import Watchdog
from quantflow.registers import BASE_REGISTERS, COUNTERS, Error, Register

# Errors that other units report; the rest arise here.
UNIT_ERRORS = tuple(error.name.lower() for error in Error if error not in (Error.NONE, Error.WATCHDOG, Error.STOPPED))


class Control(wiring.Component):
    """AXI4-Lite registers by quantflow.registers, and what they start, stop and count.

    A write of START clears the machine for one cycle (`clear`), then pulses `start`; the run ends
    done when `finished` is high in a later cycle. A pulse of `errors`, STOP, or
    `config.watchdog_cycles` cycles without `progress` end it with an error code: `clear` and
    `flush` are high until `memory_idle`, then the machine can start again. `finished`, `errors` and
    `progress` come from all over the machine and pass a register. See RunSequencer, RegisterFile,
    PerformanceCounters, Profile.

    Ports: axi In(lite_signature(8)); start Out(1), a pulse; program_address, program_length, bases,
    region_sizes and port_bases Out, constant in a run, as wide as the memory's addresses; clear Out(1),
    resets queues, tokens and units; flush Out(1), for the memory ports; finished In(1): nothing is left to do
    anywhere; memory_idle In(1): the memory ports owe nothing; errors In(a bit for each of
    UNIT_ERRORS); events In(a bit for each of EVENTS, high in cycles that count); progress In(1);
    interrupt Out(1), a level; busy, failed Out(1): the STATUS register's bits.
    """

    def __init__(self, config):
        self.config = config
        super().__init__({
            "axi": In(lite_signature(CONTROL_ADDRESS_BITS)),
            "start": Out(1),
            "program_address": Out(config.memory_address_bits),
            "program_length": Out(config.memory_address_bits),
            "bases": Out(data.ArrayLayout(config.memory_address_bits, BASE_REGISTERS)),
            "region_sizes": Out(data.ArrayLayout(config.region_size_bits, BASE_REGISTERS)),
            "port_bases": Out(data.ArrayLayout(config.memory_address_bits, config.ports)),
            "clear": Out(1),
            "flush": Out(1),
            "finished": In(1),
            "memory_idle": In(1),
            "errors": In(data.StructLayout({name: 1 for name in UNIT_ERRORS})),
            "events": In(data.StructLayout({name: 1 for name in EVENTS})),
            "progress": In(1),
            "interrupt": Out(1),
            "busy": Out(1),
            "failed": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.slave = slave = AxiLiteSlave(CONTROL_ADDRESS_BITS)
        m.submodules.registers = registers = RegisterFile(self.config)
        m.submodules.sequencer = sequencer = RunSequencer()
        m.submodules.counters = counters = PerformanceCounters(self.config)
        if self.config.profile_depth:
            self._profile(m, slave.write, sequencer, registers, counters)
        m.submodules.watchdog = watchdog = Watchdog(self.config.watchdog_cycles)
        connect(m, flipped(self.axi), slave.axi)
        finished, errors, progress = Signal(), Signal.like(self.errors), Signal()
        m.d.sync += [
            finished.eq(self.finished & ~sequencer.begin),  # so that the first cycle's does not count later either
            errors.eq(self.errors),
            progress.eq(self.progress),
        ]
        m.d.comb += [
            registers.write.eq(slave.write),
            registers.read_address.eq(slave.read_address),
            slave.read_data.eq(registers.read_data),
            registers.status.eq(Cat(sequencer.busy, sequencer.done, sequencer.failed)),
            registers.error.eq(sequencer.error),
            registers.counts.eq(counters.counts),
            counters.clear.eq(sequencer.prepare),
            counters.running.eq(sequencer.running),
            counters.events.eq(self.events),
            watchdog.running.eq(sequencer.running),
            watchdog.progress.eq(progress),
            sequencer.start.eq(registers.start),
            sequencer.finished.eq(finished),
            sequencer.memory_idle.eq(self.memory_idle),
            *(sequencer.errors[name].eq(errors[name]) for name in UNIT_ERRORS),
            sequencer.errors.watchdog.eq(watchdog.expired),
            sequencer.errors.stopped.eq(registers.stop),
            self.start.eq(sequencer.begin),
            self.program_address.eq(registers.program_address),
            self.program_length.eq(registers.program_length),
            self.bases.eq(registers.bases),
            self.region_sizes.eq(registers.region_sizes),
            self.port_bases.eq(registers.port_bases),
            self.clear.eq(sequencer.clear),
            self.flush.eq(sequencer.flush),
            self.busy.eq(sequencer.busy),
            self.failed.eq(sequencer.failed),
            self.interrupt.eq(registers.interrupt_enable & (sequencer.done | sequencer.failed)),
        ]
        return m

    def _profile(self, m, write, sequencer, registers, counters):
        m.submodules.profile = profile = Profile(self.config.profile_depth)
        m.d.comb += [
            profile.clear.eq(sequencer.prepare),
            profile.retired.eq(sequencer.running & self.events.compute_retired),
            profile.cycles.eq(counters.counts[COUNTERS.index(Register.CYCLES)]),
            profile.choose.eq(write.enable & (write.address == Register.PROFILE_INDEX)),
            profile.index.eq(write.data),
            registers.profile_cycles.eq(profile.recorded),
        ]
