"""A feature map's words out of the activation scratchpad, as a stream."""

from amaranth import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

from hdl.bus.axi import request_layout
from hdl.layouts import activation_word, bank_address
from hdl.transfer.map_walker import MapWalker, walk_layout

# Words between the scratchpad's read port and `words`: a read's answer takes one cycle, the queue
# one and the way back of the place freed one; with fewer than three a word would wait.
WORDS_AHEAD = 4


class MapReader(wiring.Component):
    """Reads `count` words of a map in memory's order.

        words[n] = word at the n-th place of `walk`, see MapWalker

    `start` takes `walk` and `count`; it may only come while `idle`. One word per cycle as long as
    scratchpad and receiver agree: a word is asked for only when its place in the queue is free,
    since the scratchpad's answer cannot be held up. `error_illegal` pulses where `count` is not
    the map's number of words; then the component wants a reset.

    Ports: walk In(walk_layout); count In; start In(1); store_read Out(stream of bank_address);
    store_data In(activation_word), store_data_valid In(1): the answer one cycle after the
    transfer; words Out(stream of activation_word); idle, error_illegal Out(1).
    """

    latency = 3  # cycles from `start` to the first word, where the scratchpad is free

    def __init__(self, config):
        self.config = config
        super().__init__({
            "walk": In(walk_layout(config)),
            "count": In(request_layout(config)["beats"].shape),
            "start": In(1),
            "store_read": Out(stream.Signature(bank_address(config))),
            "store_data": In(activation_word(config)),
            "store_data_valid": In(1),
            "words": Out(stream.Signature(activation_word(config))),
            "idle": Out(1),
            "error_illegal": Out(1),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.walker = walker = MapWalker(self.config)
        word_bits = self.store_data.shape().size
        m.submodules.queue = queue = SyncFIFO(width=word_bits, depth=WORDS_AHEAD)
        left, free = Signal.like(self.count), Signal(range(WORDS_AHEAD + 1), init=WORDS_AHEAD)
        asked, handed_on = Signal(), Signal()
        m.d.comb += [
            walker.walk.eq(self.walk),
            walker.start.eq(self.start),
            walker.step.eq(asked),
            self.store_read.payload.bank.eq(walker.bank),
            self.store_read.payload.address.eq(walker.address),
            self.store_read.valid.eq((left != 0) & (free != 0)),
            asked.eq(self.store_read.valid & self.store_read.ready),
            queue.w_data.eq(self.store_data),
            queue.w_en.eq(self.store_data_valid),
            self.words.payload.eq(queue.r_data),
            self.words.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.words.ready),
            handed_on.eq(self.words.valid & self.words.ready),
            self.idle.eq((left == 0) & (free == WORDS_AHEAD)),
            self.error_illegal.eq(asked & (walker.last != (left == 1))),
        ]
        m.d.sync += free.eq(free - asked + handed_on)
        with m.If(self.start):
            m.d.sync += left.eq(self.count)
        with m.Elif(asked):
            m.d.sync += left.eq(left - 1)
        return m
