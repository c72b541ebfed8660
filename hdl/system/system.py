"""The whole design of a board without DRAM but for its pins and its clock. Assembly only."""

from amaranth import ClockSignal, Instance, Module, ResetSignal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from hdl.accelerator import AXI_PORTS, TOP, accelerator_ports
from hdl.bus.axi import named_ports
from hdl.system.block_memory import BlockMemory
from hdl.system.serial_link import SerialLink
from hdl.system.single_port_memory import SinglePortMemory
from hdl.system.storage import SOURCES
from hdl.system.uart import BIT_CYCLES_BITS
from hdl.verilog import to_verilog

SYSTEM = "system"


class System(wiring.Component):
    """The accelerator (module `accelerator`, whose Verilog stands elsewhere), its memory, the host's serial link.

    Parameters as of BlockMemory; with `single_port` the memory is a SinglePortMemory. Raises ValueError for `files`
    of that one.

    Ports: rx In(1), synchronous to the clock, tx Out(1): the serial line; bit_cycles In(16), clock cycles of one of
    its bits; busy, failed Out(1): bits of the STATUS register.
    """

    def __init__(self, config, memory_bytes, *, files=(), single_port=False):
        self.config = config
        if files and single_port:
            raise ValueError("a memory with a single port has no contents at power-up")
        if single_port:
            self.memory = SinglePortMemory(config, memory_bytes)
        else:
            self.memory = BlockMemory(config, memory_bytes, files=files)
        super().__init__({
            "rx": In(1),
            "tx": Out(1, init=1),
            "bit_cycles": In(BIT_CYCLES_BITS),
            "busy": Out(1),
            "failed": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        accelerator = wiring.Signature(accelerator_ports(self.config)).create()
        m.submodules.accelerator = _instance(accelerator)
        m.submodules.memory = memory = self.memory
        m.submodules.link = link = SerialLink(memory.words)
        connect(m, accelerator.memory_read[0], memory.read)
        connect(m, accelerator.memory_write[0], memory.write)
        connect(m, link.memory, memory.host)
        connect(m, link.registers, accelerator.control)
        m.d.comb += [
            link.rx.eq(self.rx),
            link.bit_cycles.eq(self.bit_cycles),
            self.tx.eq(link.tx),
            self.busy.eq(accelerator.busy),
            self.failed.eq(accelerator.failed),
        ]
        return m


def _instance(interface):
    """The accelerator behind an interface of its signature."""
    directions = {"__".join(map(str, path)): member.flow for path, member, _ in interface.signature.flatten(interface)}
    ports = named_ports(interface, AXI_PORTS)
    connections = {
        ("o_" if flow == Out else "i_") + name: value
        for (name, (value, _)), flow in zip(ports.items(), directions.values(), strict=True)
    }
    return Instance(TOP, i_clk=ClockSignal(), i_rst=ResetSignal(), **connections)


def system_verilog(config, memory_bytes, *, files=(), single_port=False):
    """The design as Verilog text whose top module is `system`; parameters as of System."""
    system = System(config, memory_bytes, files=files, single_port=single_port)
    own = to_verilog(system, SYSTEM, ports=named_ports(system, {}))
    return own + "\n" + "\n".join(path.read_text() for path in SOURCES)
