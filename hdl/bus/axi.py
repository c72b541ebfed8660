"""AXI4 and AXI4-Lite as signatures, and the words that the memory path's own streams carry.

Every signature is seen from the initiator: `Out(read_signature(config))` on a memory port of the
machine, `In(lite_signature(...))` on its control port. Members have the specification's lower-case
names (`araddr`, `wlast`, ...; ARM IHI 0022), so that `named_ports` gives a port the names that
tools and bus models look for.
"""

from amaranth import Cat, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out, Signature
from amaranth.utils import exact_log2

from hdl.layouts import struct_layout
from quantflow import isa

ADDRESS_BITS = 32
BOUNDARY_BYTES = 4096  # no burst crosses a multiple of this
ID_BITS = 1  # always 0: everything is answered in order
LENGTH_BITS, SIZE_BITS, KIND_BITS, CACHE_BITS, PROTECTION_BITS, RESPONSE_BITS = 8, 3, 2, 4, 3, 2
INCREMENTING = 1  # AxBURST
BUFFERABLE = 0b0011  # AxCACHE: normal, neither cached nor merged
ERROR_BIT = 1  # set in xRESP for SLVERR and DECERR, clear for OKAY and EXOKAY
LITE_DATA_BITS = 32


def request_layout(config):
    """Any number of consecutive beats: `beats` of them (as many as an instruction can ask for).

    `address` counts the bytes of beats of all ports together.
    """
    beats = struct_layout(isa.Load, config)["beats"].shape
    return data.StructLayout({"address": config.memory_address_bits, "beats": beats})


def burst_layout(config):
    """One AXI burst of `length + 1` beats (AxLEN's convention) on every port, inside one 4 KB page.

    `address` counts the bytes of one port, from where its part of the memory begins.
    """
    return data.StructLayout({"address": config.memory_address_bits, "length": exact_log2(config.burst_beats)})


def read_signature(config):
    """AXI4's AR and R channels of one port."""
    return Signature({
        **_address_channel("ar"),
        "rid": In(ID_BITS),
        "rdata": In(config.port_bits),
        "rresp": In(RESPONSE_BITS),
        "rlast": In(1),
        "rvalid": In(1),
        "rready": Out(1),
    })


def write_signature(config):
    """AXI4's AW, W and B channels of one port."""
    return Signature({
        **_address_channel("aw"),
        "wdata": Out(config.port_bits),
        "wstrb": Out(config.port_bytes),
        "wlast": Out(1),
        "wvalid": Out(1),
        "wready": In(1),
        "bid": In(ID_BITS),
        "bresp": In(RESPONSE_BITS),
        "bvalid": In(1),
        "bready": Out(1),
    })


def _address_channel(prefix):
    members = {
        "id": Out(ID_BITS),
        "addr": Out(ADDRESS_BITS),
        "len": Out(LENGTH_BITS),
        "size": Out(SIZE_BITS),
        "burst": Out(KIND_BITS),
        "cache": Out(CACHE_BITS),
        "prot": Out(PROTECTION_BITS),
        "valid": Out(1),
        "ready": In(1),
    }
    return {prefix + name: member for name, member in members.items()}


def address_constants(axi, prefix, config):
    """Statements for what never changes on the address channel `prefix` ("ar" or "aw")."""
    return [
        getattr(axi, f"{prefix}id").eq(0),
        getattr(axi, f"{prefix}size").eq(exact_log2(config.port_bytes)),
        getattr(axi, f"{prefix}burst").eq(INCREMENTING),
        getattr(axi, f"{prefix}cache").eq(BUFFERABLE),
        getattr(axi, f"{prefix}prot").eq(0),
    ]


def bus_address(base, address):
    """Where a port's own `address` is on the bus; of `base`, a multiple of 4 KB, the low bits are not looked at."""
    page_bits = exact_log2(BOUNDARY_BYTES)
    return Cat(address[:page_bits], (base[page_bits:] + address[page_bits:])[: len(address) - page_bits])


def lite_signature(address_bits):
    """AXI4-Lite with 32-bit data."""
    return Signature({
        "awaddr": Out(address_bits),
        "awprot": Out(PROTECTION_BITS),
        "awvalid": Out(1),
        "awready": In(1),
        "wdata": Out(LITE_DATA_BITS),
        "wstrb": Out(LITE_DATA_BITS // 8),
        "wvalid": Out(1),
        "wready": In(1),
        "bresp": In(RESPONSE_BITS),
        "bvalid": In(1),
        "bready": Out(1),
        "araddr": Out(address_bits),
        "arprot": Out(PROTECTION_BITS),
        "arvalid": Out(1),
        "arready": In(1),
        "rdata": In(LITE_DATA_BITS),
        "rresp": In(RESPONSE_BITS),
        "rvalid": In(1),
        "rready": Out(1),
    })


def named_ports(component, prefixes):
    """The `ports=` of `verilog.convert`: a component's own names, its AXI members' as AXI has them.

    `prefixes` names the members that are AXI ports and what their signals' names begin with:
    `{"memory_read": "m_axi_", "control": "s_axil_"}`. Of several ports in one member the first has
    that prefix, the others are numbered: `m_axi1_`, `m_axi2_`, ... A port's direction is left to the
    back end: what the component drives is an output.
    """
    ports = {}
    for path, _, value in component.signature.flatten(component):
        names = [str(part) for part in path]
        if names[0] in prefixes:
            name = numbered(prefixes[names[0]], *map(int, names[1:-1])) + names[-1]
        else:
            name = "__".join(names)
        ports[name] = (Value.cast(value), None)
    return ports


def numbered(prefix, index=0):
    """The prefix of AXI port `index`: "m_axi_", "m_axi1_", "m_axi2_", ..."""
    return f"{prefix[:-1]}{index}_" if index else prefix
