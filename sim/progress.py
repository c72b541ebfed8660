"""How far a running simulation is, from the record that the testbench writes: no Python in its cycles."""

import contextlib
import threading

from quantflow.isa import Unit
from sim.timeline import INTERRUPT, RETIRED

POLL_SECONDS = 0.2


class Record:
    """The testbench's record as it grows: cycles simulated, cycles expected in all, what is under way."""

    def __init__(self, path, programs, stages, what="image"):
        """`programs` are the runs' manifest.ProgramRecords, `stages` the stages' names, `what` a run computes."""
        self.path, self.stages, self.what = path, stages, what
        self.predicted = [program.estimated_cycles for program in programs]
        self.computes = [[record.stage for _, record in program.of_unit("compute")] for program in programs]
        self.file, self.rest = None, ""
        self.cycle = self.run = self.retired = 0
        self.finished_at = 0  # the cycle in which the run before ended

    def read(self):
        """Take in what has been written since the last call."""
        if self.file is None:
            if not self.path.exists():
                return
            self.file = self.path.open()
        *lines, self.rest = (self.rest + self.file.read()).split("\n")
        for line in lines:
            cycle, event = line.split()
            self.cycle = int(cycle)
            if RETIRED.get(event) == Unit.COMPUTE:
                self.retired += 1
            elif event == INTERRUPT:
                self.run, self.retired, self.finished_at = self.run + 1, 0, self.cycle

    @property
    def total(self):
        """Cycles in all: those of finished runs, and what is predicted of the others."""
        return max(self.cycle, self.finished_at + sum(self.predicted[self.run :]))

    @property
    def text(self):
        """The run and the layer under way: "image 2 of 10, conv1"."""
        if self.run >= len(self.computes):
            return "comparing"
        stages = self.computes[self.run]
        layer = self.stages[stages[min(self.retired, len(stages) - 1)]]
        return f"{self.what} {self.run + 1} of {len(self.computes)}, {layer}"

    def close(self):
        if self.file is not None:
            self.file.close()


@contextlib.contextmanager
def reported(record, progress):
    """Call `progress(cycles, cycles in all, what is under way)` from a thread while the simulation runs."""
    if progress is None:
        yield
        return
    ended = threading.Event()

    def report():
        record.read()
        progress(record.cycle, record.total, record.text)

    def watch():
        while not ended.wait(POLL_SECONDS):
            report()

    report()
    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        record.read()
        record.close()
    progress(record.cycle, record.cycle, record.text)
