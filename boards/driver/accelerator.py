"""An inference's steps, whatever the link: load the network, write an image, start, wait, read the result."""

from pathlib import Path

import numpy as np

from boards.driver.profile import Profile
from quantflow.arithmetic import quantize
from quantflow.errors import UserError
from quantflow.manifest import MODEL, Manifest
from quantflow.registers import BUSY, COUNTERS, DONE, FAILED, START, STOP, Error, Register
from quantflow.stops import describe_error, pending_instructions, places
from quantflow.striping import joined, stripes

SPARE_SECONDS, SPARE_FACTOR = 2, 10  # a run may take SPARE_FACTOR times what is estimated, and SPARE_SECONDS
INTERRUPT = 1  # in INTERRUPT_ENABLE, which a reset clears
STOP_SECONDS = 1  # a machine that is told to stop does so once its memory has answered


class MachineError(Exception):
    """A run did not end well; the message names the error and the instructions that were under way."""

    def __init__(self, message, error=None):
        super().__init__(message)
        self.error = error  # of quantflow.registers.Error; None where the machine reports none


class Accelerator:
    """A machine with one network loaded.

    `link` is a boards.driver.Link, `manifest` a quantflow.manifest.Manifest and `model` the bytes of the build's
    model.bin. A machine that is still busy is stopped. Raises UserError where the machine is another build's,
    LinkError where it cannot be reached.
    """

    def __init__(self, link, manifest, model, *, timeout=None):
        """`timeout`: seconds that a run may take; by default far more than the estimate."""
        self.link, self.manifest, self._timeout = link, manifest, timeout
        self._check_identity()
        self._stop_if_busy()  # with the run of a host that went away
        self.program = None  # name of the program that ran last
        self._weights_on_chip = False
        self._configure()
        self.write_memory(manifest.model_address, model)

    @classmethod
    def open(cls, link, build, **options):
        """The machine of a build folder."""
        manifest, path = Manifest.read(build), Path(build) / MODEL
        try:
            model = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from None
        return cls(link, manifest, model, **options)

    def _check_identity(self):
        identity, expected = self.link.read_register(Register.IDENTITY), self.manifest.identity
        if identity != expected:
            raise UserError(
                f"the machine on the board has the identity {identity:#010x} and not {expected:#010x}: load the "
                "bitstream that was made from this build"
            )

    def _configure(self):
        """Tell the machine where its memory is, and the regions in it."""
        ports = self.manifest.config.ports
        self._bases = self.link.place(ports, self.manifest.memory_bytes // ports)
        for port, base in enumerate(self._bases):
            self.link.write_register(Register.PORT_BASE + 4 * port, base)
        for index, (base, size) in enumerate(self.manifest.regions()):
            self.link.write_register(Register.BASE + 4 * index, base)
            self.link.write_register(Register.REGION_SIZE + 4 * index, size)
        self.link.write_register(Register.INTERRUPT_ENABLE, INTERRUPT)

    def _check_configured(self):
        """MachineError where the machine was reset since: it would run with memory that is not its own."""
        if self.link.read_register(Register.INTERRUPT_ENABLE) != INTERRUPT:
            raise MachineError("the machine was reset after it was opened, and has forgotten its memory: open it again")

    def write_memory(self, address, data):
        """Write bytes to the machine's own memory, of which its ports hold stripes; `address` is that of a beat."""
        config = self.manifest.config
        parts = stripes(address, data, ports=config.ports, port_bytes=config.port_bytes)
        for base, (offset, part) in zip(self._bases, parts, strict=True):
            self.link.write_memory(base + offset, part)

    def read_memory(self, address, size):
        """Bytes of the machine's own memory; both multiples of a beat of all ports."""
        config = self.manifest.config
        offset, share = address // config.ports, size // config.ports
        return joined([self.link.read_memory(base + offset, share) for base in self._bases], config.port_bytes)

    def run(self, images, progress=None):
        """Float images [N, C, H, W], any number, to the network's output integers [N, C, H, W].

        `progress(done, total)` is called behind each run.
        """
        images, shape = np.asarray(images), self.manifest.input.shape
        if images.ndim != 4 or images.shape[1:] != shape or not len(images):
            raise UserError(f"the network takes images [N, {', '.join(map(str, shape))}], not {list(images.shape)}")
        runs, outputs = self.manifest.runs(quantize(images, self.manifest.input.format)), []
        for number, integers in enumerate(runs, 1):
            outputs.append(self.infer(integers))
            if progress:
                progress(number, len(runs))
        return np.stack(outputs).reshape(-1, *self.manifest.output.shape)[: len(images)]

    def infer(self, integers):
        """One run: the integers of an image [C, H, W], or of a batch [N, C, H, W], to those of the output."""
        self.write_image(self.manifest.input.pack(integers).tobytes())
        self.start()
        self.wait()
        return self.manifest.output.unpack(self.read_result())

    def write_image(self, packed):
        """Put an input into memory, as `manifest.input.pack` lays it out."""
        self.write_memory(self.manifest.input_address, packed)

    def start(self):
        """Start the program: `warm` where the weights of the run before are still on the chip."""
        manifest = self.manifest
        self._check_configured()
        self._stop_if_busy()  # with a run whose end was not waited for
        self.program = manifest.later_program if self._weights_on_chip else "cold"
        program = manifest.programs[self.program]
        self.link.write_register(Register.PROGRAM_ADDRESS, manifest.model_address + program.offset)
        self.link.write_register(Register.PROGRAM_LENGTH, len(program.instructions))
        self._weights_on_chip = False  # until this run has ended well
        self.link.write_register(Register.CONTROL, START)

    def wait(self):
        """Wait for the run's end; raises MachineError where it did not end well, or not in time."""
        seconds, link = self.timeout, self.link
        end = link.now() + seconds
        while (status := self._status()) & BUSY:
            left = end - link.now()
            if left <= 0:
                raise self._out_of_time(seconds)
            link.wait(left)
        if status & FAILED:
            raise self._error()
        if not status & DONE:
            raise MachineError("the machine is neither busy nor done: it was reset in the middle of the run")
        self._check_configured()
        self._weights_on_chip = True

    def read_result(self):
        """The output as it lies in memory, for `manifest.output.unpack`."""
        return self.read_memory(self.manifest.output_address, self.manifest.output.bytes)

    @property
    def timeout(self):
        """Seconds that a run of the last program may take."""
        if self._timeout is not None:
            return self._timeout
        cycles = self.manifest.programs[self.program].estimated_cycles
        return SPARE_SECONDS + SPARE_FACTOR * cycles / (self.manifest.clock_mhz * 1e6)

    def counters(self):
        """What the machine counted in the last run, by the registers' names in lower case."""
        return {register.name.lower(): self.link.read_register(register) for register in COUNTERS}

    def profile(self):
        """The last run's counters and, where the machine keeps them, its layers' cycles."""
        return Profile.read(self.link, self.manifest, self.program, self.counters())

    def _status(self):
        return self.link.read_register(Register.STATUS)

    def _stop_if_busy(self):
        if self._status() & BUSY:
            self._stop()

    def _stop(self):
        """Stop a run; MachineError where the machine does not obey."""
        self.link.write_register(Register.CONTROL, STOP)
        end = self.link.now() + STOP_SECONDS
        while self._status() & BUSY:
            if self.link.now() > end:
                raise MachineError("the machine does not stop: its memory does not answer; load the bitstream again")
            self.link.wait(STOP_SECONDS)

    def _error(self):
        code, program = self.link.read_register(Register.ERROR), self.manifest.programs[self.program]
        message = f"{self.program} program: " + describe_error(code, self.counters(), program)
        return MachineError(message, Error(code) if code in list(Error) else None)

    def _out_of_time(self, seconds):
        """What to raise for a run that took too long; the machine is stopped."""
        pending = pending_instructions(self.counters(), self.manifest.programs[self.program])
        self._stop()
        still = places(list(pending), pending)
        return MachineError(f"{self.program} program: not done after {seconds:.3g} s and stopped; {still}")
