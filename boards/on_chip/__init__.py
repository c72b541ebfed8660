"""A whole design for boards whose memory is block RAM: accelerator, memory, serial link, PLL, pins."""

from boards.on_chip import constraints
from boards.on_chip.contents import contents
from boards.on_chip.top import top_verilog
from hdl.system.system import system_verilog
from quantflow.errors import UserError


def files(board, manifest, model):
    """The build folder's files by name: `system.v`, `top.v`, the constraints, and the memory's contents.

    Raises UserError for a machine with several memory ports, a clock that the PLL cannot make, and a family for
    which there is no design.
    """
    config, family = manifest.config, board.part.family
    if family not in constraints.WRITERS:
        raise UserError(f"{board.name}: no design with its memory on chip is known for the family {family}")
    if config.ports != 1:
        raise UserError(f"{board.name}: the memory on chip has one port, and the configuration ports = {config.ports}")
    single_port = family == "ice40"  # whose large RAM has one port, and no contents at power-up
    words = -(-manifest.memory_bytes // config.beat_bytes)
    banks = {} if single_port else contents(model, words, config.beat_bytes)
    name, write = constraints.WRITERS[family]
    return {
        "system.v": system_verilog(config, manifest.memory_bytes, files=tuple(banks), single_port=single_port),
        "top.v": top_verilog(board, board.clock_mhz),
        name: write(board.system),
        **banks,
    }
