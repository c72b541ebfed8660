"""FPGA parts: what they have, and how the open tools name them."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What an FPGA has, or what a design takes of it."""

    lut: int  # look-up tables, in the vendor's size
    ff: int  # flip-flops
    dsp: int  # multiplier blocks
    block_ram: int  # blocks of `Part.block_ram_kbit`

    @classmethod
    def weighed(cls, weights, cells):
        """What cells, {type: number}, take: `weights` says by resource and type how much one of them is."""
        sums = {
            name: sum(weight * cells.get(cell, 0) for cell, weight in weights[name].items())
            for name in cls.__dataclass_fields__
        }
        return cls(**{name: math.ceil(total) for name, total in sums.items()})

    def exceeding(self, other):
        """Names of the resources of which there is more here than in `other`."""
        return [name for name in self.__dataclass_fields__ if getattr(self, name) > getattr(other, name)]


@dataclass(frozen=True, kw_only=True)
class Part:
    """An FPGA in its package and speed grade."""

    name: str  # the vendor's full order code, as its tools take it
    family: str  # a key of boards.synthesis.FAMILIES
    resources: Resources
    block_ram_kbit: int
    options: tuple[str, ...] = ()  # that name it to nextpnr; none where no open tool places and routes it

    @classmethod
    def from_json(cls, values):
        resources = Resources(**values["resources"])
        return cls(**{**values, "resources": resources, "options": tuple(values["options"])})


# Counts are those of the vendors' overviews: Xilinx DS190, Lattice FPGA-DS-02012 (ECP5) and FPGA-DS-02008 (iCE40
# UltraPlus), Gowin DS226 (GW2AR). Options of parts without an open flow are empty.
XC7Z020 = Part(
    name="xc7z020clg400-1",
    family="xilinx-7",
    resources=Resources(lut=53_200, ff=106_400, dsp=220, block_ram=140),
    block_ram_kbit=36,
)
XC7Z045 = Part(
    name="xc7z045ffg900-2",
    family="xilinx-7",
    resources=Resources(lut=218_600, ff=437_200, dsp=900, block_ram=545),
    block_ram_kbit=36,
)
LFE5U_85F = Part(
    name="LFE5U-85F-6BG381C",
    family="ecp5",
    resources=Resources(lut=83_640, ff=83_640, dsp=156, block_ram=208),
    block_ram_kbit=18,
    options=("--85k", "--package", "CABGA381", "--speed", "6"),
)
LFE5UM5G_85F = Part(  # the same array at 1.2 V, with transceivers
    name="LFE5UM5G-85F-8BG554I",
    family="ecp5",
    resources=Resources(lut=83_640, ff=83_640, dsp=156, block_ram=208),
    block_ram_kbit=18,
    options=("--um5g-85k", "--package", "CABGA554", "--speed", "8"),
)
ICE40UP5K = Part(
    name="iCE40UP5K-SG48",
    family="ice40",
    # Beside them four single-port RAMs of 256 kbit.
    resources=Resources(lut=5_280, ff=5_280, dsp=8, block_ram=30),
    block_ram_kbit=4,
    options=("--up5k", "--package", "sg48"),
)
GW2AR_18 = Part(
    name="GW2AR-LV18QN88C8/I7",
    family="gowin",
    resources=Resources(lut=20_736, ff=15_552, dsp=48, block_ram=46),
    block_ram_kbit=18,
    options=("--device", "GW2AR-LV18QN88C8/I7", "--vopt", "family=GW2A-18C"),
)
