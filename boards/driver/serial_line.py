"""The serial link of docs/serial_link.md, the host's side: frames are numbered, checked and repeated."""

import contextlib
import random
import struct
from zlib import crc32

from boards.driver.link import WORD_BYTES, Link, LinkError, pieces
from quantflow.registers import Register

REQUEST, REPLY = 0x51, 0xA1  # first bytes
READ, WRITE = 1, 2  # commands
DONE = 0  # status of a reply
MOST_WORDS = 64  # of one frame
HEADER = struct.Struct("<BBBBI")  # of a request: first byte, sequence number, command, count, address
REPLY_HEADER = struct.Struct("<BBBB")  # first byte, sequence number, status, count
CHECK = struct.Struct("<I")
REGISTERS = 1 << 31  # bit of an address: the control port's registers, not the memory
SILENT_BYTES = 40  # byte times of silence before a request is repeated
BITS_PER_BYTE = 10  # on the line: a start and a stop bit
ATTEMPTS = 10
PATIENCE_SECONDS = 0.1  # that adapters and operating systems may take on top of the frames' own time
MOST_NOISE = 1 << 16  # bytes that nobody asked for, after which an attempt, or the line, is given up


class SerialLink(Link):
    """Registers and memory of a machine at the end of a serial line.

    `line` is a pyserial Serial, or anything with its `write(data)`, `read(size)`, which returns less where
    `timeout` seconds pass, and that attribute `timeout`. A request is sent at most `attempts` times. What a
    request that failed for good has done is not known: a write may have been done.
    """

    def __init__(self, line, baud, *, attempts=ATTEMPTS, patience=PATIENCE_SECONDS):
        self._line, self._attempts, self._patience = line, attempts, patience
        self._byte_seconds = BITS_PER_BYTE / baud
        self._sequence = random.randrange(256)
        self._write_sequence = None  # of the last write
        self.repeated = 0  # requests that were sent again
        self._be_silent()
        self.read_register(Register.IDENTITY)  # a first read, behind which no write is taken for an earlier one

    @classmethod
    def open(cls, port, baud, **options):
        """The machine behind a serial port, such as /dev/ttyUSB0; LinkError where it cannot be opened."""
        import serial  # pyserial, which only this needs

        try:
            line = serial.Serial(port, baud, exclusive=True)  # no second host in between
            with contextlib.suppress(AttributeError, OSError, ValueError, NotImplementedError):
                line.set_low_latency_mode(True)  # USB adapters on Linux otherwise keep bytes back for 16 ms
            return cls(line, baud, **options)
        except (OSError, ValueError) as error:
            raise LinkError(f"the serial port {port} cannot be opened: {error}") from None

    def read_register(self, address):
        (value,) = struct.unpack("<I", self._request(READ, REGISTERS | address, 1))
        return value

    def write_register(self, address, value):
        self._request(WRITE, REGISTERS | address, 1, struct.pack("<I", value))

    def read_memory(self, address, size):
        frames = self._frames(address, size)
        return b"".join(self._request(READ, start, count) for start, count in frames)

    def write_memory(self, address, data):
        data = bytes(data)
        for start, count in self._frames(address, len(data)):
            offset = start - address
            self._request(WRITE, start, count, data[offset : offset + count * WORD_BYTES])

    @staticmethod
    def _frames(address, size):
        """(address, words) of the frames for a piece of memory."""
        if not 0 <= address <= address + size <= REGISTERS:
            raise LinkError(f"the serial link does not reach {size} bytes of memory at {address:#x}")
        return pieces(address, size, MOST_WORDS)

    def _request(self, command, address, count, data=b""):
        """One request, repeated until its reply comes; returns the data of a read."""
        self._number(command)
        body = HEADER.pack(REQUEST, self._sequence, command, count, address) + data
        frame = body + CHECK.pack(crc32(body[1:]))
        size = REPLY_HEADER.size + CHECK.size + (count * WORD_BYTES if command == READ else 0)
        for attempt in range(self._attempts):
            if attempt:
                self.repeated += 1
                self._be_silent()
            self._line.timeout = (len(frame) + size) * self._byte_seconds + self._patience
            self._write(frame)
            reply = self._reply(size, command, count)
            if reply is not None:
                return reply
        space = "registers" if address & REGISTERS else "memory"
        raise LinkError(
            f"no undamaged reply to a {'read' if command == READ else 'write'} of {count} words of the {space} at "
            f"{address & ~REGISTERS:#x} in {self._attempts} attempts: is the board's bitstream loaded, and the line's "
            f"speed right?"
        )

    def _number(self, command):
        """Give the next request its number: no write has that of the write before, which it would be taken for."""
        self._sequence = (self._sequence + 1) % 256
        if command == WRITE:
            if self._sequence == self._write_sequence:
                self._sequence = (self._sequence + 1) % 256
            self._write_sequence = self._sequence

    def _reply(self, size, command, count):
        """The data of the reply to the last request; None where none comes that is undamaged.

        Bytes that are no part of it, such as the end of a reply that came too late, are passed over.
        """
        received, passed = b"", 0
        while passed < MOST_NOISE:
            more = self._read(max(1, size - len(received)))
            if not more:
                return None
            received += more
            for start in range(len(received)):
                found = self._parse(received[start:], command, count)
                if found is not None:
                    return found
            kept = received[-(size - 1) :]  # may be the beginning of a whole reply, if one byte is missing
            passed += len(received) - len(kept)
            received = kept
        return None

    def _parse(self, frame, command, count):
        """The data of a reply that begins here; None where it is none, or not of the last request, or not all there."""
        if len(frame) < REPLY_HEADER.size + CHECK.size:
            return None
        first, sequence, status, words = REPLY_HEADER.unpack_from(frame)
        expected = count if command == READ and status == DONE else 0
        end = REPLY_HEADER.size + words * WORD_BYTES
        if (first, sequence, words) != (REPLY, self._sequence, expected) or len(frame) < end + CHECK.size:
            return None
        if crc32(frame[1:end]) != CHECK.unpack_from(frame, end)[0]:
            return None
        if status != DONE:
            raise LinkError("the board refuses an address that the machine or its memory does not have")
        return frame[REPLY_HEADER.size : end]

    def _be_silent(self):
        """Send nothing for SILENT_BYTES byte times, and forget what comes in them."""
        self._line.timeout = SILENT_BYTES * self._byte_seconds
        chunk = 4096
        for _ in range(MOST_NOISE // chunk):
            if len(self._read(chunk)) < chunk:
                return
        raise LinkError("the serial line carries bytes that nobody asked for, without end: is its speed right?")

    def _write(self, data):
        try:
            self._line.write(data)
        except OSError as error:  # as pyserial raises where the adapter is gone
            raise LinkError(f"the serial line broke down: {error}") from None

    def _read(self, size):
        try:
            return self._line.read(size)
        except OSError as error:
            raise LinkError(f"the serial line broke down: {error}") from None
