"""AXI4-Lite: one answer to each request, in order, offered until it is taken."""

import pytest
from amaranth import Const

from hdl.bus.axi_lite_slave import OKAY, AxiLiteSlave
from tests.hdl.formal.prover import needs_prover, refuted
from tests.hdl.formal.queues import Queue
from tests.hdl.formal.spec import Spec, claim, delayed, mutated, stays_until_taken

pytestmark = [pytest.mark.slow, needs_prover]

ADDRESS_BITS = 8
WORD_BYTES = 4


class Protocol(Spec):
    """Each of the two kinds of transaction is a queue of one answer."""

    def describe(self, m):
        axi = self.component.axi
        self._reads(m, axi)
        self._writes(m, axi)
        # The master waits for ready as long as it likes, so the slave may not wait for its answers' ready.
        claim(m, "read_accepted_when_free", axi.arready | axi.rvalid)
        claim(m, "write_accepted_when_free", axi.awready | axi.bvalid | ~(axi.awvalid & axi.wvalid))

    def _reads(self, m, axi):
        slave = self.component
        queue = Queue(
            m,
            "reads",
            push=axi.arvalid & axi.arready,
            word_in=slave.read_data,
            pop=axi.rvalid & axi.rready,
            word_out=axi.rdata,
            depth=1,
        )
        queue.is_registers(m, (axi.rvalid, axi.rdata))
        stays_until_taken(m, "read_answer", axi.rvalid, axi.rready, axi.rdata, axi.rresp)
        claim(m, "read_okay", axi.rresp == OKAY)
        claim(m, "read_address", slave.read_address == axi.araddr - axi.araddr % WORD_BYTES)

    def _writes(self, m, axi):
        write = self.component.write
        taken = axi.awvalid & axi.awready
        queue = Queue(
            m,
            "writes",
            push=taken,
            word_in=Const(OKAY, len(axi.bresp)),
            pop=axi.bvalid & axi.bready,
            word_out=axi.bresp,
            depth=1,
        )
        queue.is_registers(m, (axi.bvalid, axi.bresp))
        stays_until_taken(m, "write_answer", axi.bvalid, axi.bready, axi.bresp)
        claim(m, "data_with_its_address", taken == (axi.wvalid & axi.wready))
        claim(m, "one_write_for_each_request", write.enable == taken)
        claim(m, "write_address", write.address == axi.awaddr - axi.awaddr % WORD_BYTES)
        claim(m, "write_data", write.data == axi.wdata)
        for byte in range(WORD_BYTES):
            mask = write.mask.word_select(byte, 8)
            claim(m, f"byte_{byte}_as_its_strobe", mask == axi.wstrb[byte].replicate(8))
        claim(m, "answered_in_the_next_cycle", axi.bvalid | ~delayed(m, taken))


def test_axi_lite_slave(tmp_path):
    assert refuted(Protocol(AxiLiteSlave(ADDRESS_BITS)), tmp_path, 2) == set()


MUTATIONS = {
    "takes back an answer": ("(axi.rvalid & ~axi.rready)", "(axi.rvalid & 0)"),
    "answers two writes once": ("(~axi.bvalid | axi.bready)", "1"),
    "takes an address without data": ("axi.awready.eq(self.write.enable)", "axi.awready.eq(1)"),
    "changes an answer": ("with m.If(read):", "with m.If(1):"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutated_slave_is_refuted(name, tmp_path):
    assert refuted(Protocol(mutated(AxiLiteSlave, MUTATIONS[name])(ADDRESS_BITS)), tmp_path, 5, bounded=True)
