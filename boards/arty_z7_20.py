"""Digilent Arty Z7-20: the part and the memory of a PYNQ-Z2."""

from dataclasses import replace

from boards import pynq_z2

BOARD = replace(
    pynq_z2.BOARD,
    name="arty-z7-20",
    title="Digilent Arty Z7-20 (Zynq-7000 XC7Z020)",
    vendor_board="digilentinc.com:arty-z7-20:part0",
)
