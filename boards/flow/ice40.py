"""Yosys' commands for the iCE40, without the pass that loses multipliers.

`synth_ice40 -dsp` maps products to SB_MAC16 and then calls `ice40_dsp`, which takes registers and an adder into them.
Where it takes a product's register it removes the whole register cell. An array's products are one cell, whose other
products then have no register and read as undefined: two multipliers of four were left, and half of the sums were
wrong. No option leaves that pass out, and whether its case comes up hangs on how registers are grouped when it is
called. So products are mapped here, with the same maps, before a `synth_ice40` that is not told of multipliers and
calls the pass never; `boards.flow.multiplier_registers` takes the registers in.
"""

# Operands of up to 16 bits; products that nobody would want a multiplier for stay logic, as with `-dsp`.
_LIMITS = {"A_MAXWIDTH": 16, "B_MAXWIDTH": 16, "A_MINWIDTH": 2, "B_MINWIDTH": 2, "Y_MINWIDTH": 11}
_DEFINED = " ".join(f"-D DSP_{name}={value}" for name, value in (_LIMITS | {"NAME": "$__MUL16X16"}).items())
SYNTHESIS = "; ".join([
    "read_verilog -lib +/ice40/cells_sim.v",  # says which ports of the part's cells are outputs
    "proc",
    "wreduce",  # a product's operands are as wide as its result until their own width is found
    f"techmap -map +/mul2dsp.v -map +/ice40/dsp_map.v {_DEFINED}",
    "chtype -set $mul t:$__soft_mul",
    # Eight flip-flops share a tile's clock enable: one that few have leaves places empty where the part is full.
    "synth_ice40 -device u -dffe_min_ce_use 4",
])
