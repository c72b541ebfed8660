"""The read port: bursts of fetch and of loads by turns, as many under way as the configuration allows."""

from collections import deque

import simpy

PAGE_BYTES = 4096  # that no AXI4 burst leaves
RELEASE = 2  # cycles from a burst's last beat to the address of one that had to wait for it


class ReadPort:
    """Reads for two clients, "fetch" and "load"; each one's requests are answered in order."""

    def __init__(self, env, timing, config, bandwidth):
        self.env, self.timing, self.config, self.bandwidth = env, timing, config, bandwidth
        self.longest = min(config.burst_beats, PAGE_BYTES // config.port_bytes)  # beats of a burst
        self.waiting = {"fetch": deque(), "load": deque()}  # bursts: (beats, event at the last one's end or None)
        self.free = simpy.Container(env, init=config.outstanding_bursts)
        self.asked, self.under_way = env.event(), simpy.Store(env)
        env.process(self._issue())
        env.process(self._answer())

    def ask(self, client, address, beats):
        """The event of the last of `beats` arriving, from byte `address` on; addresses go out from now on."""
        received = self.env.event()
        first = address // self.config.beat_bytes
        end = first + beats
        while first < end:
            last = min(end, (first // self.longest + 1) * self.longest)  # bursts end at its multiples
            self.waiting[client].append((last - first, received if last == end else None))
            first = last
        if not self.asked.triggered:
            self.asked.succeed()
        return received

    def _issue(self):
        client = "load"
        while True:
            if not any(self.waiting.values()):
                self.asked = self.env.event()
                yield self.asked
            yield self.free.get(1)
            other = "fetch" if client == "load" else "load"
            client = other if self.waiting[other] else client
            self.under_way.put((*self.waiting[client].popleft(), self.env.now + self.timing.latency))
            yield self.env.timeout(1)

    def _release(self):
        yield self.env.timeout(RELEASE)
        self.free.put(1)

    def _answer(self):
        while True:
            beats, received, earliest = yield self.under_way.get()
            yield self.env.timeout(max(0, earliest - self.env.now))
            yield from self.bandwidth.move("read", beats)
            self.env.process(self._release())
            if received is not None:
                received.succeed()
