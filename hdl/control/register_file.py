"""The registers behind the control port."""

from amaranth import Module, Mux
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.bus.axi import LITE_DATA_BITS
from hdl.bus.axi_lite_slave import BYTE_BITS, write_layout
from hdl.control.run_sequencer import ERROR_BITS
from quantflow.registers import BASE_REGISTERS, COUNTERS, START, STOP, UNBOUNDED, Register, identity

CONTROL_ADDRESS_BITS = 8
STATUS_BITS = 3  # BUSY, DONE, FAILED
WORD_BYTES = LITE_DATA_BITS // 8


class RegisterFile(wiring.Component):
    """Reads and writes by the map of quantflow.registers.

    Writing CONTROL pulses `start` and `stop`. The program's address and length and all bases keep
    their values while the machine is busy: writes to them are ignored then. So are writes to
    registers that are read only or do not exist; these read as 0.

    Ports: write In(write_layout); read_address In, read_data Out(32) combinational; start, stop
    Out(1); program_address, program_length, bases, region_sizes (UNBOUNDED before they are
    written) and port_bases (one for each port) Out; interrupt_enable Out(1); status
    In(3), bits as in the STATUS register; error In; counts In(ArrayLayout(32), in the order of
    COUNTERS); profile_cycles In(32).
    """

    def __init__(self, config):
        self.config = config
        sizes = data.ArrayLayout(config.region_size_bits, BASE_REGISTERS)
        super().__init__({
            "write": In(write_layout(CONTROL_ADDRESS_BITS)),
            "read_address": In(CONTROL_ADDRESS_BITS),
            "read_data": Out(LITE_DATA_BITS),
            "start": Out(1),
            "stop": Out(1),
            "program_address": Out(config.memory_address_bits),
            "program_length": Out(config.memory_address_bits),
            "bases": Out(data.ArrayLayout(config.memory_address_bits, BASE_REGISTERS)),
            "region_sizes": Out(sizes, init=[UNBOUNDED % (1 << config.region_size_bits)] * BASE_REGISTERS),
            "port_bases": Out(data.ArrayLayout(config.memory_address_bits, config.ports)),
            "interrupt_enable": Out(1),
            "status": In(STATUS_BITS),
            "error": In(ERROR_BITS),
            "counts": In(data.ArrayLayout(LITE_DATA_BITS, len(COUNTERS))),
            "profile_cycles": In(LITE_DATA_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        settings = {
            Register.PROGRAM_ADDRESS: self.program_address,
            Register.PROGRAM_LENGTH: self.program_length,
            **{Register.BASE + n * WORD_BYTES: base for n, base in enumerate(self.bases)},
            **{Register.REGION_SIZE + n * WORD_BYTES: size for n, size in enumerate(self.region_sizes)},
            **{Register.PORT_BASE + n * WORD_BYTES: base for n, base in enumerate(self.port_bases)},
        }
        readable = {
            Register.STATUS: self.status,
            Register.ERROR: self.error,
            Register.IDENTITY: identity(self.config),
            Register.INTERRUPT_ENABLE: self.interrupt_enable,
            **dict(zip(COUNTERS, self.counts, strict=True)),
            Register.PROFILE_CYCLES: self.profile_cycles,
        }
        if self.config.counters:
            readable |= settings
        self._write(m, settings)
        with m.Switch(self.read_address):
            for address, value in readable.items():
                with m.Case(int(address)):
                    m.d.comb += self.read_data.eq(value)
        return m

    def _write(self, m, settings):
        write, busy = self.write, self.status[0]
        with m.If(write.enable):
            with m.Switch(write.address):
                with m.Case(Register.CONTROL):
                    written = write.data & write.mask
                    m.d.comb += [self.start.eq((written & START) != 0), self.stop.eq((written & STOP) != 0)]
                with m.Case(Register.INTERRUPT_ENABLE):
                    m.d.sync += self.interrupt_enable.eq(Mux(write.mask[0], write.data[0], self.interrupt_enable))
                for address, register in settings.items():
                    with m.Case(int(address)), m.If(~busy):
                        for low in range(0, len(register), BYTE_BITS):
                            bits = slice(low, low + BYTE_BITS)
                            with m.If(write.mask[low]):
                                m.d.sync += register[bits].eq(write.data[bits])
