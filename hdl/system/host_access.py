"""The host's accesses to a memory beside the machine's."""

from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from hdl.bus.axi import ADDRESS_BITS
from hdl.system.storage import COLUMN_BITS

HOST_ACCESS = data.StructLayout({"enable": 1, "write": 1, "address": ADDRESS_BITS, "write_data": COLUMN_BITS})


def host_signature():
    """Accesses to words of 32 bits, one in each cycle with `enable` and `ready`; `read_valid` comes with what was read.

    After a read the next access waits for that.
    """
    return wiring.Signature({
        **{name: Out(field.shape) for name, field in HOST_ACCESS},  # addresses in words, below the memory's number
        "ready": In(1),
        "read_data": In(COLUMN_BITS),
        "read_valid": In(1),
    })
