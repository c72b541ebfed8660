"""From the requests of loads and stores to bursts."""

from functools import reduce

from amaranth import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect

from hdl.bus.axi import burst_layout, request_layout
from hdl.bus.burst_splitter import BurstSplitter
from hdl.layouts import struct_layout
from hdl.transfer.region_check import RegionCheck
from quantflow.isa import INSTRUCTIONS, Opcode, Region, Unit


class BoundedBursts(wiring.Component):
    """Splits the units' requests into bursts, as far as their instructions stay inside their regions.

    `units` that share one of these take turns: one unit's bursts have been taken before another takes an instruction.

    Ports, for each of `units`, by its name: NAME In(its instruction) and NAME_take In(1), as it takes that;
    NAME_requests In(stream of request_layout), NAME_bursts Out(stream of burst_layout). sizes In, by region; error
    Out(1): see RegionCheck.
    """

    latency = BurstSplitter.latency  # cycles from a request to its first burst

    def __init__(self, config, units):
        self.config, self.units = config, tuple(units)
        ports = {"sizes": In(data.ArrayLayout(config.region_size_bits, len(Region))), "error": Out(1)}
        for unit in self.units:
            name = unit.name.lower()
            ports |= {
                name: In(struct_layout(INSTRUCTIONS[Opcode[unit.name]], config)),
                f"{name}_take": In(1),
                f"{name}_requests": In(stream.Signature(request_layout(config))),
                f"{name}_bursts": Out(stream.Signature(burst_layout(config))),
            }
        super().__init__(ports)

    def elaborate(self, platform):
        m = Module()
        m.submodules.check = check = RegionCheck(self.config)
        m.submodules.splitter = splitter = BurstSplitter(self.config)
        connect(m, check.passed, splitter.requests)
        takes = [self._port(unit, "_take") for unit in self.units]
        instructions = [self._port(unit) for unit in self.units]
        requests = [self._port(unit, "_requests") for unit in self.units]
        m.d.comb += [
            check.take.eq(reduce(lambda a, b: a | b, takes)),
            *(
                getattr(check, name).eq(_chosen(takes, [instruction[name] for instruction in instructions]))
                for name in ("region", "memory_address", "beats")
            ),
            check.store.eq(_chosen(takes, [int(unit == Unit.STORE) for unit in self.units])),
            check.sizes.eq(self.sizes),
            self.error.eq(check.error),
            check.requests.valid.eq(reduce(lambda a, b: a | b, (request.valid for request in requests))),
            check.requests.payload.eq(
                _chosen([request.valid for request in requests], [request.payload.as_value() for request in requests])
            ),
            *(request.ready.eq(check.requests.ready) for request in requests),
        ]
        for unit, take in zip(self.units, takes, strict=True):
            self._hand_out(m, unit, take, takes, splitter.bursts)
        return m

    def _port(self, unit, suffix=""):
        return getattr(self, unit.name.lower() + suffix)

    def _hand_out(self, m, unit, take, takes, bursts):
        """Bursts are those of the unit that took the last instruction."""
        output, turn = self._port(unit, "_bursts"), 1
        if len(self.units) > 1:
            turn = Signal(name=f"{unit.name.lower()}_turn")
            with m.If(reduce(lambda a, b: a | b, takes)):
                m.d.sync += turn.eq(take)
        m.d.comb += [output.payload.eq(bursts.payload), output.valid.eq(bursts.valid & turn)]
        with m.If(turn):
            m.d.comb += bursts.ready.eq(output.ready)


def _chosen(conditions, values):
    """The value whose condition holds, of which at most one does; any where none does."""
    return reduce(lambda rest, pair: Mux(pair[0], pair[1], rest), zip(conditions[1:], values[1:]), values[0])
