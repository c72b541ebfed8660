"""Build folders of the stand-in machine, which copies its input to its output and misbehaves to order."""

from pathlib import Path

from quantflow import tuned_file
from quantflow.arithmetic import dequantize
from quantflow.compiler import compile_network
from quantflow.config import Config
from quantflow.cycles import MemoryTiming
from quantflow.isa import Region
from quantflow.manifest import MODEL, TRACE, TUNED, VERILOG, Manifest
from quantflow.registers import Register
from sim.testbench import with_parameters
from tests.quantflow.networks import RandomNetwork

CONFIG = Config(pixels=3, lanes=4, port_bits=32, watchdog_cycles=2000)


class _Board:
    name, clock_mhz, memory = "stand-in", 100, MemoryTiming()


NEVER = 0xFFFFFFFF


def copying_build(folder, **behaviour):
    """A build of the one network that copying computes: maximum over 1 x 1 windows.

    `behaviour` is what the stand-in does wrong; see stand_in.sv.
    """
    network = RandomNetwork(1, (6, 5, 7)).pool((1, 1))
    quantized = network.finish()
    deployment = compile_network(quantized, CONFIG)
    manifest = Manifest.of(deployment, _Board)
    program = manifest.programs["cold"]
    parameters = {
        "DATA_WIDTH": CONFIG.port_bits,
        "BEATS": manifest.output.bytes // CONFIG.port_bytes,
        "LOADS": len(program.of_unit("load")),
        "COMPUTES": len(program.of_unit("compute")),
        "STORES": len(program.of_unit("store")),
        "INPUT_BASE": Register.BASE + 4 * Region.INPUT,
        "OUTPUT_BASE": Register.BASE + 4 * Region.OUTPUT,
    }
    for register in ("INTERRUPT_ENABLE", "CYCLES", "LOAD_RETIRED", "COMPUTE_RETIRED", "STORE_RETIRED"):
        parameters[register] = Register[register]
    right = {
        "identity": manifest.identity, "wrong_beat": NEVER, "hang_after": NEVER, "hang_waiting": 0,
        "error_after": NEVER, "error_code": 0,
    }  # fmt: skip
    source = Path(__file__).with_name("stand_in.sv").read_text()
    folder.mkdir(exist_ok=True)
    manifest.write(folder)
    (folder / VERILOG).write_text(with_parameters(source, parameters))
    lines = [f"{value:x}\n" for value in (right | behaviour).values()]
    (folder / "behaviour.hex").write_text("".join(lines))
    (folder / MODEL).write_bytes(deployment.model.tobytes())
    (folder / TRACE).write_bytes(deployment.trace_program.tobytes())
    tuned_file.save(quantized, folder / TUNED)
    return manifest, dequantize(network.images(3), quantized.input)
