"""AXI4-Lite to single register accesses."""

from amaranth import Cat, Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import exact_log2

from hdl.bus.axi import LITE_DATA_BITS, lite_signature

BYTE_BITS = 8
OKAY = 0  # xRESP


def write_layout(address_bits):
    """A write of the bits in `mask`, in a cycle with `enable`; byte addresses of whole words."""
    return data.StructLayout({
        "enable": 1,
        "address": address_bits,
        "data": LITE_DATA_BITS,
        "mask": LITE_DATA_BITS,
    })


class AxiLiteSlave(wiring.Component):
    """Turns AXI4-Lite transactions into register writes and reads, one of each kind at a time.

        write: one cycle with write.enable;  mask = the strobes' bytes;  answer OKAY
        read:  rdata = read_data in the cycle in which ARADDR was taken;  answer OKAY

    Every address is answered. A write is taken when its address and its data are both there. The
    low bits of addresses within a word are dropped, AxPROT is ignored.

    Ports: axi In(lite_signature); write Out(write_layout); read_address Out; read_data In(32),
    combinational from read_address.
    """

    latency = 1  # cycles from a transfer to its answer

    def __init__(self, address_bits):
        self.address_bits = address_bits
        super().__init__({
            "axi": In(lite_signature(address_bits)),
            "write": Out(write_layout(address_bits)),
            "read_address": Out(address_bits),
            "read_data": In(LITE_DATA_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        axi = self.axi
        read = axi.arvalid & axi.arready
        m.d.comb += [
            self.write.enable.eq(axi.awvalid & axi.wvalid & (~axi.bvalid | axi.bready)),
            self.write.address.eq(self._word(axi.awaddr)),
            self.write.data.eq(axi.wdata),
            self.write.mask.eq(Cat(strobe.replicate(BYTE_BITS) for strobe in axi.wstrb)),
            axi.awready.eq(self.write.enable),
            axi.wready.eq(self.write.enable),
            axi.bresp.eq(OKAY),
            self.read_address.eq(self._word(axi.araddr)),
            axi.arready.eq(~axi.rvalid | axi.rready),
            axi.rresp.eq(OKAY),
        ]
        m.d.sync += [
            axi.bvalid.eq(self.write.enable | (axi.bvalid & ~axi.bready)),
            axi.rvalid.eq(read | (axi.rvalid & ~axi.rready)),
        ]
        with m.If(read):
            m.d.sync += axi.rdata.eq(self.read_data)
        return m

    def _word(self, address):
        """The address without the bits that count a word's bytes."""
        inside = exact_log2(LITE_DATA_BITS // BYTE_BITS)
        return address[inside:] << inside
