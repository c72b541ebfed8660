"""The accelerator as a module that Vivado's IP integrator takes into a block design by reference."""

from amaranth.lib.wiring import Flow

from hdl.bus.axi import ADDRESS_BITS, lite_signature, numbered, read_signature, write_signature
from hdl.control.register_file import CONTROL_ADDRESS_BITS

WRAPPER = "accelerator_ip"
CONTROL_RANGE_BITS = 12  # 4 KB, the least that the vendor's bus IP hands out; the registers repeat in it


def interface(port):
    """The wrapper's name of the accelerator's memory port `port`."""
    return numbered("m_axi_", port)[:-1]


def wrapper_verilog(config):
    """Verilog text of `accelerator_ip`: ports of the accelerator, marked with the interface that each belongs to.

    The attributes X_INTERFACE_* are those of Xilinx UG994, "Inferring signals and interfaces".
    """
    memory = {**read_signature(config).members, **write_signature(config).members}
    ports = [*_system_ports(config)]
    for port in range(config.ports):
        kind = f"PROTOCOL AXI4, ADDR_WIDTH {ADDRESS_BITS}, DATA_WIDTH {config.port_bits}, ID_WIDTH 1"
        kind += f", MAX_BURST_LENGTH {config.burst_beats}, SUPPORTS_NARROW_BURST 0"
        ports += _bus_ports(interface(port), memory, kind, initiator=True)
    control = lite_signature(CONTROL_RANGE_BITS).members
    ports += _bus_ports("s_axil", control, f"PROTOCOL AXI4LITE, ADDR_WIDTH {CONTROL_RANGE_BITS}", initiator=False)
    names = [port.rpartition(" ")[2] for port in ports]
    return "\n".join([
        "// The accelerator with the attributes by which Vivado's IP integrator finds its interfaces.",
        f"module {WRAPPER} (",
        ",\n".join(ports),
        ");",
        "    accelerator accelerator (",
        ",\n".join(f"        .{name}({_connected(name)})" for name in names),
        "    );",
        "endmodule",
        "",
    ])


def _connected(name):
    """What the wrapper connects to a port: of control addresses the bits that choose a register."""
    return name + (f"[{CONTROL_ADDRESS_BITS - 1}:0]" if name in ("s_axil_awaddr", "s_axil_araddr") else "")


def _system_ports(config):
    buses = ":".join([*map(interface, range(config.ports)), "s_axil"])
    yield _port("input", 1, "clk", "signal:clock:1.0 clk CLK", f"ASSOCIATED_BUSIF {buses}, ASSOCIATED_RESET rst")
    yield _port("input", 1, "rst", "signal:reset:1.0 rst RST", "POLARITY ACTIVE_HIGH")
    yield _port("output", 1, "interrupt", "signal:interrupt:1.0 interrupt INTERRUPT", "SENSITIVITY LEVEL_HIGH")


def _bus_ports(name, members, kind, *, initiator):
    """A port for each member of a bus; the first also says what the bus is."""
    for member, port in members.items():
        direction = "output" if (port.flow is Flow.Out) == initiator else "input"
        yield _port(direction, port.shape, f"{name}_{member}", f"interface:aximm:1.0 {name} {member.upper()}", kind)
        kind = None


def _port(direction, bits, name, info, parameter):
    attributes = f'X_INTERFACE_INFO = "xilinx.com:{info}"'
    attributes += f', X_INTERFACE_PARAMETER = "{parameter}"' if parameter else ""
    return f"    (* {attributes} *)\n    {direction} wire {f'[{bits - 1}:0] ' if bits > 1 else ''}{name}"
