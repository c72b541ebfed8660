"""When a run's first compute instructions retired."""

from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from hdl.bus.axi import LITE_DATA_BITS
from hdl.scratchpad.collisions import UNCHECKED


class Profile(wiring.Component):
    """Records `cycles` at each of the first `depth` pulses of `retired` since `clear`.

        record[n] = cycles in the cycle of pulse n, n < depth
        recorded  = record[the last `index` that came with `choose`], from the cycle after `choose` on

    Records that the pulses have not reached are those of earlier runs. An index is taken modulo the next power of two.

    Ports: clear, retired, choose In(1); cycles, index In(32); recorded Out(32).
    """

    def __init__(self, depth):
        self.depth = depth
        super().__init__({
            "clear": In(1),
            "retired": In(1),
            "cycles": In(LITE_DATA_BITS),
            "choose": In(1),
            "index": In(LITE_DATA_BITS),
            "recorded": Out(LITE_DATA_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.records = records = Memory(shape=LITE_DATA_BITS, depth=self.depth, init=[], attrs=UNCHECKED)
        write, read = records.write_port(), records.read_port()
        number, chosen = Signal(range(self.depth + 1)), Signal.like(read.addr)
        m.d.comb += [
            write.en.eq(self.retired & (number != self.depth)),
            write.addr.eq(number),
            write.data.eq(self.cycles),
            # The index itself, not only its register: the answer to the next access shows its record already.
            read.addr.eq(Mux(self.choose, self.index, chosen)),
            self.recorded.eq(read.data),
        ]
        m.d.sync += chosen.eq(read.addr)
        with m.If(self.clear):
            m.d.sync += number.eq(0)
        with m.Elif(write.en):
            m.d.sync += number.eq(number + 1)
        return m
