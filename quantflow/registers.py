"""The control port's register map and the machine's error codes.

32-bit registers behind AXI4-Lite, byte addresses; `hdl/control/control.py`, the host driver and the
simulation all read this file.
"""

from enum import IntEnum

BASE_REGISTERS = 4  # one base address and one size for each isa.Region
UNBOUNDED = 0xFFFF_FFFF  # size of a region before the host sets it
PORT_REGISTERS = 4  # one for each AXI4 port that a machine may have


class Register(IntEnum):
    """Byte addresses. Counters run from a start to its end and keep their value until the next.

    Programs, bases and instructions have addresses in the machine's own memory, which begins at 0 and is
    counted in bytes of beats of all its ports together. Beat n, bytes [n * beat_bytes, (n + 1) * beat_bytes),
    lies in as many parts of port_bytes as there are ports, part k at bus address
    PORT_BASE[k] + n * port_bytes of port k. With one port and PORT_BASE 0 both addresses are the same.
    """

    CONTROL = 0x00  # write: bit 0 start, bit 1 stop (reads 0)
    STATUS = 0x04  # bit 0 busy, bit 1 done, bit 2 error; a start clears done and error
    ERROR = 0x08  # an Error, 0 where there is none
    IDENTITY = 0x0C  # identity(config): what programs this machine runs
    PROGRAM_ADDRESS = 0x10  # byte address of the first instruction
    PROGRAM_LENGTH = 0x14  # instructions
    BASE = 0x18  # BASE_REGISTERS byte addresses, in isa.Region's order
    INTERRUPT_ENABLE = 0x28  # bit 0: raise `interrupt` while done or error is set
    PORT_BASE = 0x30  # PORT_REGISTERS byte addresses on the bus, multiples of 4096: see above
    REGION_SIZE = 0x40  # BASE_REGISTERS numbers of bytes, in isa.Region's order: no program gets outside
    CYCLES = 0x50  # from start to done
    LOAD_BUSY = 0x54  # cycles in which the unit works on an instruction
    COMPUTE_BUSY = 0x58
    STORE_BUSY = 0x5C
    LOAD_WAIT = 0x60  # cycles in which the unit's next instruction lacks a token
    COMPUTE_WAIT = 0x64
    STORE_WAIT = 0x68
    LOAD_RETIRED = 0x6C  # instructions finished
    COMPUTE_RETIRED = 0x70
    STORE_RETIRED = 0x74
    READ_BEATS = 0x78
    WRITE_BEATS = 0x7C
    COMPUTE_STEPS = 0x80  # cycles in which the array or the vector unit took operands
    PROFILE_INDEX = 0x84  # write: n, below config.profile_depth (reads 0)
    PROFILE_CYCLES = 0x88  # CYCLES when the run's n-th compute instruction, from 0, retired; of an earlier run beyond


COUNTERS = tuple(register for register in Register if Register.CYCLES <= register <= Register.COMPUTE_STEPS)

START, STOP = 1, 2
BUSY, DONE, FAILED = 1, 2, 4


class Error(IntEnum):
    """Why the machine stopped; the first error of a run stays in the register."""

    NONE = 0
    ILLEGAL_INSTRUCTION = 1  # opcode, target or operation does not exist
    ACTIVATION_ADDRESS = 2  # outside the activation scratchpad
    WEIGHT_ADDRESS = 3  # outside the weight or parameter scratchpad
    READ_RESPONSE = 4  # the memory answered a read with an error
    WRITE_RESPONSE = 5  # the memory answered a write with an error
    WATCHDOG = 6  # no progress for config.watchdog_cycles
    STOPPED = 7  # by the host
    MEMORY_ADDRESS = 8  # outside a region, or a store to one that is only read
    DAMAGED_PROGRAM = 9  # an instruction is not what was sealed, or the program's end is not where it should be


def identity(config):
    """32-bit fingerprint of a configuration (FNV-1a over its fields), never 0."""
    value = 0x811C9DC5
    for byte in repr(sorted(config.to_json().items())).encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value or 1
