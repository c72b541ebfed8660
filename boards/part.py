"""FPGA parts: what they have, and how the open tools name them."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What an FPGA has, or what a design takes of it."""

    lut: int  # look-up tables, in the vendor's size
    ff: int  # flip-flops
    dsp: int  # multiplier blocks
    block_ram: int  # blocks of `Part.block_ram_kbit`

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
