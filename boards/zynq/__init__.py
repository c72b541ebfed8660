"""A Vivado project for a Zynq-7000: the accelerator on the processing system's AXI ports, as plain Tcl.

`build.tcl` is the same for every build; `board.tcl` beside it holds what differs.
"""

from pathlib import Path

from boards.zynq.wrapper import WRAPPER, interface, wrapper_verilog
from hdl.bus.axi import ADDRESS_BITS
from quantflow.errors import UserError
from quantflow.manifest import VERILOG

# S_AXI_HP ports for so many of the machine's. HP0 and HP1 share a port of the memory controller, as do HP2 and HP3
# (UG585, figure 10-1): two take one of each.
HP_PORTS = {1: (0,), 2: (0, 2), 4: (0, 1, 2, 3)}
HP_BITS = (32, 64)  # that an S_AXI_HP port can be set to
NOT_RUN = "build.tcl targets Vivado 2020 or later and has not been run: no Vivado was at hand."
SCRIPT = Path(__file__).with_name("build.tcl")


def files(board, manifest, model):
    """The build folder's files by name: the project's script, its settings, the accelerator's wrapper.

    Raises UserError where the processing system has no such ports as the machine's.
    """
    config = manifest.config
    if config.port_bits not in HP_BITS:
        raise UserError(
            f"{board.name}'s S_AXI_HP ports have 32 or 64 bits, not port_bits {config.port_bits}: use more `ports`"
        )
    if config.ports > board.system.ports:
        raise UserError(f"{board.name} has {board.system.ports} S_AXI_HP ports, fewer than ports {config.ports}")
    if config.memory_address_bits < ADDRESS_BITS:
        raise UserError(
            f"on {board.name} memory_address_bits must be {ADDRESS_BITS}, not {config.memory_address_bits}: the "
            "host's buffers may lie anywhere in its DRAM"
        )
    return {
        SCRIPT.name: SCRIPT.read_text(),
        "board.tcl": _settings(board, config),
        f"{WRAPPER}.v": wrapper_verilog(config),
    }


def _settings(board, config):
    """What build.tcl must know, as Tcl variables."""
    values = {
        "part": board.part.name,
        "vendor_board": board.vendor_board,
        "clock_mhz": board.clock_mhz,
        "sources": f"{VERILOG} {WRAPPER}.v",
        "memory_ports": " ".join(f"{interface(port)} HP{hp}" for port, hp in enumerate(HP_PORTS[config.ports])),
        "port_bits": config.port_bits,
        "control_address": f"{board.system.control_address:#x}",
        "processing_system": " ".join(f"{name} {{{value}}}" for name, value in board.system.settings.items()),
    }
    return "".join(f"set {name} {{{value}}}\n" for name, value in values.items())
