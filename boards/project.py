"""Write a build folder: everything that a board, or the simulation, needs to run a network."""

import shutil
import tempfile
from pathlib import Path

from boards import litex, on_chip, zynq
from boards.driver.carried import driver_files
from boards.folder import put_in_place
from boards.system import LiteX, OnChip, ProcessingSystem
from hdl.accelerator import accelerator_verilog
from quantflow import tuned_file
from quantflow.errors import UserError
from quantflow.manifest import MANIFEST, MODEL, SUMMARY, TRACE, TUNED, VERILOG, Manifest, predicted_figures

WRITERS = {ProcessingSystem: zynq.files, OnChip: on_chip.files, LiteX: litex.files}


def write_project(deployment, quantized, board, folder):
    """Write the build folder of `deployment`, compiled from `quantized` for `board`.

    The folder is complete before it takes its place; an earlier build there is replaced. Returns
    the figures that `quantflow generate --json` writes. Raises UserError where the folder cannot
    be written, or holds something else than a build.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / MANIFEST).exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} holds something else than a build: name another folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        prepared = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            figures = _write(deployment, quantized, board, prepared)
            put_in_place(prepared, folder)
        finally:
            shutil.rmtree(prepared, ignore_errors=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror or error}") from None
    return figures


def _write(deployment, quantized, board, folder):
    manifest = Manifest.of(deployment, board)
    _check_memory(manifest)
    source = accelerator_verilog(deployment.config)
    figures = {
        "board": board.name,
        "config": deployment.config.to_json(),
        "multipliers": deployment.config.multipliers,
        "verilog_lines": source.count("\n"),
        "memory_bytes": manifest.memory_bytes,
        "batch": manifest.batch,
        "estimated_cycles": -(-manifest.programs["cold"].estimated_cycles // manifest.batch),  # for one image
        "predicted": {name: predicted_figures(manifest, name) for name in manifest.programs if name != "trace"},
    }
    manifest.write(folder)
    (folder / VERILOG).write_text(source)
    model = deployment.model.tobytes()
    (folder / MODEL).write_bytes(model)
    (folder / TRACE).write_bytes(deployment.trace_program.tobytes())
    tuned_file.save(quantized, folder / TUNED)
    board.write(folder)
    for name, text in (system_files(board, manifest, model) | driver_files(manifest, model)).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / SUMMARY).write_text(summary(manifest, board, figures))
    return figures


def _check_memory(manifest):
    most = 1 << manifest.config.memory_address_bits
    if manifest.memory_bytes > most:
        raise UserError(
            f"the network takes {manifest.memory_bytes} bytes of memory, but the machine's addresses, of "
            f"{manifest.config.memory_address_bits} bits, reach {most}"
        )


def system_files(board, manifest, model):
    """What stands around the accelerator on its board, as file name to text: gateware, constraints, scripts."""
    return WRITERS[type(board.system)](board, manifest, model)


def summary(manifest, board, figures):
    """The build in words: machine, memory, programs."""
    config = manifest.config
    lines = [
        f"{board.title}, {board.part.name}, {board.clock_mhz} MHz aimed at",
        f"{config.multipliers} multipliers: {config.pixels} pixels x {config.lanes} input channels "
        f"x {config.lanes} output channels",
        f"{config.activation_bits}-bit activations, {config.weight_bits}-bit weights, "
        f"{config.accumulator_bits}-bit accumulators, {config.port_bits}-bit memory port",
        f"{figures['verilog_lines']} lines of Verilog, identity {manifest.identity:#010x}",
        "",
        f"memory, {manifest.memory_bytes} bytes from an address that the base registers name:",
        f"  model   at {manifest.model_address:#10x}  ({MODEL})",
        f"  input   at {manifest.input_address:#10x}  {manifest.input.bytes} bytes",
        f"  output  at {manifest.output_address:#10x}  {manifest.output.bytes} bytes",
        f"  work    at {manifest.work_address:#10x}  {manifest.memory_bytes - manifest.work_address} bytes",
    ]
    for name, program in manifest.programs.items():
        time = program.estimated_cycles / manifest.clock_mhz
        lines += [
            "",
            f"program {name}: {len(program.instructions)} instructions at model + {program.offset:#x}, "
            f"{program.estimated_cycles} cycles estimated ({time:.1f} us)"
            + (f" for {manifest.batch} images" if manifest.batch > 1 else ""),
        ]
        lines += [f"  {n:4}  {i.text}  ; {i.label}" for n, i in enumerate(program.instructions)]
    if board.note:
        lines += ["", f"Note: {board.note}"]
    return "\n".join(lines) + "\n"
