"""Simulated machines that stay alive: many programs in one simulation process, in any order, under any memory.

A machine compares itself with an emulator of the same memory; see `Machine.run`.
"""

import atexit
import functools
import tempfile
import threading
from multiprocessing.connection import Listener
from pathlib import Path

import numpy as np

from hdl.accelerator import accelerator_verilog
from quantflow.cycles import MemoryTiming
from quantflow.registers import Register
from sim.simulator import build
from sim.testbench import TOP, TRACE_FILE, memory_inputs, system_source
from tests.sim.server import SOCKET

MEMORY_BYTES = 1 << 17
PAGE = 4096
EXTRA_CYCLES = 400_000  # beyond the watchdog's, in which every run ends, however slow the memory
CALM = memory_inputs(MemoryTiming())


class Machine:
    """The machine of a configuration in a simulation process of its own.

    `memory` is what the memory holds, uint8, as the emulator and the test see it; `load` and `run`
    keep the simulated memory the same. Ports have parts of it side by side.
    """

    def __init__(self, config):
        self.config = config
        self.memory = np.zeros(MEMORY_BYTES, np.uint8)
        part = MEMORY_BYTES // config.ports
        self.ports = {"ports": config.ports, "port_bytes": config.port_bytes, "stride": part}
        self._fixed = {Register.PORT_BASE + 4 * port: port * part for port in range(config.ports)}
        self._fixed[Register.INTERRUPT_ENABLE] = 1
        source = system_source(
            accelerator_verilog(config),
            PORTS=config.ports,
            DATA_WIDTH=config.port_bits,
            SIZE_BYTES=MEMORY_BYTES,
            WATCHDOG_CYCLES=config.watchdog_cycles,
        )
        self._built = build(source, top=TOP, closed=True)
        self._folder = tempfile.TemporaryDirectory(prefix="quantflow-machine-")
        self._start(Path(self._folder.name))

    def _start(self, folder):
        self._log, socket = folder / "log", str(folder / "socket")
        run = functools.partial(
            self._built.run, "tests.sim.server", folder=folder, log=self._log, environment={SOCKET: socket}
        )
        with Listener(socket) as listener:
            self._process = threading.Thread(target=_quietly, args=(run,), daemon=True)
            self._process.start()
            self._connection = listener.accept()
        self._connection.send({"ports": self.ports, "memory": CALM})

    def end(self):
        """End the simulation; returns the events of its whole life, (cycle, event) as in sim/testbench.sv."""
        self._connection.send(None)
        self._process.join(timeout=60)
        lines = (Path(self._folder.name) / TRACE_FILE).read_text().splitlines()
        return [(int(cycle), event) for cycle, event in map(str.split, lines)]

    def close(self):
        self.end()
        self._folder.cleanup()

    def _order(self, name, **arguments):
        try:
            self._connection.send((name, arguments))
            return self._connection.recv()
        except (EOFError, BrokenPipeError):
            raise RuntimeError(f"the simulation ended:\n{self._log.read_text()[-3000:]}") from None

    def reset(self, **memory):
        """Reset machine and bus; the memory keeps its contents. `memory`: inputs of sim/axi_memory.sv."""
        self._order("reset", memory=CALM | memory)

    def set(self, **memory):
        """Change inputs of the idle memory."""
        self._order("set", memory=memory)

    def load(self, address, data):
        """Put bytes into the memory; the address is a multiple of the beat of all ports."""
        data = np.frombuffer(bytes(data), np.uint8)
        data = np.pad(data, (0, -len(data) % self.config.beat_bytes))
        self.memory[address : address + len(data)] = data
        self._order("load", sections=[(address, data.tobytes())])

    def contents(self):
        """The simulated memory as it is now."""
        return np.frombuffer(self._order("store", address=0, size=MEMORY_BYTES), np.uint8)

    def start(self, program, bases, sizes, *, limit=None, **when):
        """Run a program (byte address, length); `when`: `stop_after` or `reset_after` so many cycles.

        What the registers say afterwards, by name; `ended`: within `limit` cycles, by default some
        more than the watchdog's.
        """
        address, instructions = program
        registers = self._fixed | {Register.PROGRAM_ADDRESS: address, Register.PROGRAM_LENGTH: instructions}
        registers |= {Register.BASE + 4 * index: base for index, base in enumerate(bases)}
        registers |= {Register.REGION_SIZE + 4 * index: size for index, size in enumerate(sizes)}
        return self._order("run", registers=registers, limit=limit or self.limit, **when)

    def profile(self, count):
        """What the host reads of the last run's first `count` compute instructions."""
        return self._order("profile", count=count)

    @property
    def limit(self):
        return self.config.watchdog_cycles + EXTRA_CYCLES


def _quietly(run):
    try:
        run()
    except SystemExit:  # a failed simulation shows as a closed connection
        pass


@functools.cache
def machine(config):
    """The one machine of a configuration in this test process, which ends with it."""
    made = Machine(config)
    atexit.register(made.close)
    return made
