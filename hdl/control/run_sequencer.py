"""A run from its start to its end, good or bad."""

from amaranth import Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from quantflow.registers import Error

ERROR_BITS = max(Error).bit_length()
ERRORS = tuple(error.name.lower() for error in Error if error != Error.NONE)


def errors_layout():
    """One bit for each error, by its name in lower case."""
    return data.StructLayout({name: 1 for name in ERRORS})


class RunSequencer(wiring.Component):
    """The machine's states.

        IDLE      a start (one at any other time is ignored) forgets the last result, goes to PREPARE
        PREPARE   one cycle: `clear` removes what an earlier run left
        RUN       `begin` pulses in its first cycle; `finished` ends it with `done`;
                  an error goes to STOPPING and its code is kept (the lowest of several)
        STOPPING  `clear` and `flush` until the memory ports have been idle for two cycles in
                  succession; ends with `failed`. Further errors are ignored.

    `busy` is everything but IDLE. `error` is there from the error on, `failed` once the machine
    has stopped. `finished` counts from the cycle after `begin`. A memory that never answers keeps
    the machine in STOPPING, with `error` readable: AXI has no way to withdraw.

    Ports: start, finished, memory_idle In(1); errors In(errors_layout); prepare, begin, running,
    clear, flush, busy, done, failed Out(1); error Out, an Error.
    """

    def __init__(self):
        super().__init__({
            "start": In(1),
            "finished": In(1),
            "memory_idle": In(1),
            "errors": In(errors_layout()),
            "prepare": Out(1),
            "begin": Out(1),
            "running": Out(1),
            "clear": Out(1),
            "flush": Out(1),
            "busy": Out(1),
            "done": Out(1),
            "failed": Out(1),
            "error": Out(ERROR_BITS),
        })

    def elaborate(self, platform):
        m = Module()
        was_idle = Signal()  # the memory ports were idle in the cycle before, while stopping
        m.d.sync += [self.begin.eq(self.prepare), was_idle.eq(self.flush & self.memory_idle)]
        m.d.comb += [self.busy.eq(1), self.clear.eq(self.prepare | self.flush)]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.busy.eq(0)
                with m.If(self.start):
                    m.d.sync += [self.done.eq(0), self.failed.eq(0), self.error.eq(Error.NONE)]
                    m.next = "PREPARE"
            with m.State("PREPARE"):
                m.d.comb += self.prepare.eq(1)
                m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += self.running.eq(1)
                with m.If(self.errors.as_value().any()):
                    self._keep_error(m)
                    m.next = "STOPPING"
                with m.Elif(self.finished & ~self.begin):
                    m.d.sync += self.done.eq(1)
                    m.next = "IDLE"
            with m.State("STOPPING"):
                m.d.comb += self.flush.eq(1)
                with m.If(self.memory_idle & was_idle):
                    m.d.sync += self.failed.eq(1)
                    m.next = "IDLE"
        return m

    def _keep_error(self, m):
        for name in reversed(ERRORS):
            with m.If(self.errors[name]):
                m.d.sync += self.error.eq(Error[name.upper()])
