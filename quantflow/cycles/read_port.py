"""The read port: bursts of fetch and of loads by turns, as many under way as the configuration allows."""

from collections import deque

import simpy


class ReadPort:
    """Reads for two clients, "fetch" and "load"; each one's requests are answered in order."""

    def __init__(self, env, timing, config, bandwidth):
        self.env, self.timing, self.config, self.bandwidth = env, timing, config, bandwidth
        self.waiting = {"fetch": deque(), "load": deque()}  # bursts: (beats, event at the last one's end or None)
        self.free = simpy.Container(env, init=config.outstanding_bursts)
        self.asked, self.under_way = env.event(), simpy.Store(env)
        env.process(self._issue())
        env.process(self._answer())

    def ask(self, client, beats):
        """The event of the last of `beats` arriving; addresses go out from now on."""
        received = self.env.event()
        for left in range(beats, 0, -self.config.burst_beats):
            last = left <= self.config.burst_beats
            self.waiting[client].append((min(left, self.config.burst_beats), received if last else None))
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

    def _answer(self):
        while True:
            beats, received, earliest = yield self.under_way.get()
            yield self.env.timeout(max(0, earliest - self.env.now))
            yield from self.bandwidth.move("read", beats)
            self.free.put(1)
            if received is not None:
                received.succeed()
