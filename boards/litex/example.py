"""A LiteX system for the LambdaConcept ECPIX-5 with the accelerator of a build folder.

    python example.py build/                                     # Verilog and software under litex/
    python example.py build/ --build --load                      # the bitstream too, onto the board
    litex_server --uart --uart-port /dev/ttyUSB1 --uart-baudrate 1000000   # then the host has registers and memory

A small processor starts the board: its BIOS calibrates the DRAM. The board's serial line is the host's bridge to
the bus; the BIOS' console is reached through it (`litex_term crossover`).
"""

import argparse
import json
from pathlib import Path

from litex.soc.integration.builder import Builder
from litex_boards.targets.lambdaconcept_ecpix5 import BaseSoC
from peripheral import add_accelerator

BAUD = 1_000_000
ROM_BYTES = 1 << 16  # for the BIOS


def system(build, clock_hz, cpu="vexriscv"):
    """The SoC. `cpu` is the name of one of LiteX's processors, or None: who then calibrates the DRAM?"""
    soc = BaseSoC(
        device="85F",
        sys_clk_freq=clock_hz,
        with_led_chaser=False,
        ident_version=False,
        cpu_type=cpu,
        integrated_rom_size=ROM_BYTES if cpu else 0,
        with_uart=cpu is not None,
        uart_name="crossover",
        l2_size=0,  # the accelerator writes behind it
    )
    soc.add_uartbone(baudrate=BAUD)
    add_accelerator(soc, build)
    return soc


def main():
    """Make the system of a build folder: its Verilog, or with --build its bitstream."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="build folder of quantflow generate")
    parser.add_argument("--output", type=Path, help="where LiteX writes (litex/ in the build folder)")
    parser.add_argument("--clock", type=float, help="of the system, in MHz (the build folder's)")
    parser.add_argument("--cpu", default="vexriscv", help="processor that starts the DRAM, or none")
    parser.add_argument(
        "--no-software", action="store_true", help="no BIOS: needs no RISC-V compiler, and starts no DRAM"
    )
    parser.add_argument("--build", action="store_true", help="synthesize, place and route (Yosys, nextpnr, Trellis)")
    parser.add_argument("--load", action="store_true", help="load the bitstream with openFPGALoader")
    arguments = parser.parse_args()
    manifest = arguments.folder / "manifest.json"
    if not manifest.is_file():
        parser.error(f"{arguments.folder} is no build folder: it has no {manifest.name}")
    clock = arguments.clock or json.loads(manifest.read_text())["clock_mhz"]
    output = arguments.output or arguments.folder / "litex"
    soc = system(arguments.folder, clock * 1e6, None if arguments.cpu == "none" else arguments.cpu)
    builder = Builder(
        soc, output_dir=str(output), csr_csv=str(output / "csr.csv"), compile_software=not arguments.no_software
    )
    builder.build(build_name="system", run=arguments.build, timingstrict=True)
    if arguments.load:
        soc.platform.create_programmer().load_bitstream(builder.get_bitstream_filename(mode="sram"))


if __name__ == "__main__":
    main()
