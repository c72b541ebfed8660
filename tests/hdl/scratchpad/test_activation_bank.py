"""A bank is block RAM of two ports, as many bits of it as it has words, and nothing else."""

import pytest

from boards.synthesis import synthesize
from hdl.scratchpad.activation_bank import ActivationBank
from hdl.verilog import to_verilog
from quantflow.config import Config

CONFIG = Config(pixels=1, lanes=8, activation_depth=4096)
BLOCK_BITS = {"ecp5": 1 << 14, "xilinx-7": 1 << 15}  # of a block's 18 or 36 kbit, those that words of 8 elements use


@pytest.mark.parametrize("family", BLOCK_BITS)
def test_blocks(family):
    used = synthesize(to_verilog(ActivationBank(CONFIG), "bank"), family, top="bank")
    bits = CONFIG.activation_depth * CONFIG.lanes * CONFIG.activation_bits
    assert (used.block_ram, used.lut, used.ff) == (bits // BLOCK_BITS[family], 0, 0)
