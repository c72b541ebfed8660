"""A Vivado project for a Zynq-7000: the accelerator on the processing system's AXI ports, as plain Tcl."""

from pathlib import Path
from string import Template

TEMPLATES = {name: Path(__file__).with_name(name) for name in ("build.tcl", "accelerator_ip.v", "accelerator.xdc")}


def files(board, manifest, model):
    """The build folder's files by name: the project's script, the accelerator's wrapper, the clock's constraint."""
    values = {
        "part": board.part.name,
        "vendor_board": board.vendor_board,
        "clock_mhz": board.clock_mhz,
        "clock_ns": f"{1000 / board.clock_mhz:.3f}",
        "port_bits": manifest.config.port_bits,
    }
    return {name: Template(path.read_text()).substitute(values) for name, path in TEMPLATES.items()}
