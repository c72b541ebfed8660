"""A device at the end of a serial line that loses and damages bytes, made from docs/serial_link.md.

Time is counted, not waited for.
"""

import random
from zlib import crc32

BAUD = 1_000_000
BYTE = 10 / BAUD  # seconds
SILENT_BYTES = 32


class Device:
    """Memory and registers behind the link; `written` lists what was written, in order."""

    def __init__(self, memory_bytes, registers, baud=BAUD):
        self._silence = SILENT_BYTES * 10 / baud
        self.memory, self.registers = bytearray(memory_bytes), dict(registers)
        self.written = []
        self._frame, self._lost, self._last, self._time = b"", False, None, 0.0

    def take(self, byte, now):
        """A byte of the host's; returns the reply to the frame that it completes, or nothing."""
        if now - self._time > self._silence:
            self._frame, self._lost = b"", False
        self._time = now
        if self._lost:
            return b""
        self._frame += bytes([byte])
        if self._frame[0] != 0x51:
            self._frame, self._lost = b"", True
            return b""
        if len(self._frame) < 8 or len(self._frame) < self._size():
            return b""
        frame, self._frame = self._frame, b""
        if crc32(frame[1:-4]) != int.from_bytes(frame[-4:], "little"):
            self._lost = True
            return b""
        return self._answer(frame)

    def _size(self):
        command, count = self._frame[2:4]
        return 12 + (4 * count if command == 2 else 0)

    def _answer(self, frame):
        _, sequence, command, count = frame[:4]
        address, data = int.from_bytes(frame[4:8], "little"), frame[8:-4]
        done, words = False, b""
        if command in (1, 2) and 1 <= count <= 64 and self._exists(address, count):
            done = True
            if command == 1:
                self._last, words = None, self._read(address, count)
            elif sequence != self._last:
                self._last = sequence
                self._write(address, data)
        body = bytes([sequence, 0 if done else 1, len(words) // 4]) + words
        return b"\xa1" + body + crc32(body).to_bytes(4, "little")

    def _exists(self, address, count):
        inside = address & 0x7FFFFFFF
        if address >> 31:
            return all(inside + 4 * word in self.registers for word in range(count))
        return inside % 4 == 0 and inside + 4 * count <= len(self.memory)

    def _read(self, address, count):
        inside = address & 0x7FFFFFFF
        if address >> 31:
            return b"".join(self.registers[inside + 4 * n].to_bytes(4, "little") for n in range(count))
        return bytes(self.memory[inside : inside + 4 * count])

    def _write(self, address, data):
        self.written.append((address, data))
        inside = address & 0x7FFFFFFF
        if address >> 31:
            for n in range(0, len(data), 4):
                self.registers[inside + n] = int.from_bytes(data[n : n + 4], "little")
        else:
            self.memory[inside : inside + len(data)] = data


class Faults:
    """What goes wrong on the line: for each byte, and for each reply, with the share given."""

    def __init__(self, seed, *, lost=0.0, flipped=0.0, inserted=0.0, replies_lost=0.0, replies_late=0.0):
        self.random = random.Random(seed)
        self.lost, self.flipped, self.inserted = lost, flipped, inserted
        self.replies_lost, self.replies_late = replies_lost, replies_late

    def on(self, data):
        """The bytes that arrive of `data`."""
        arrived = bytearray()
        for byte in data:
            while self.random.random() < self.inserted:
                arrived.append(self.random.choice((0x51, 0xA1, self.random.randrange(256))))
            if self.random.random() < self.flipped:
                byte ^= 1 << self.random.randrange(8)
            if self.random.random() >= self.lost:
                arrived.append(byte)
        return bytes(arrived)


class Line:
    """pyserial's interface to a Device, in a time of its own: `now`, in seconds."""

    def __init__(self, device, faults):
        self.device, self.faults = device, faults
        self.timeout, self.now = 0.0, 0.0
        self._free = 0.0  # when the host's wire is idle again
        self._coming = []  # (time, byte) of what the device sent

    def write(self, data):
        at = max(self.now, self._free)
        for byte in self.faults.on(data):
            at += BYTE
            self._reply(self.device.take(byte, at), at)
        self._free = at

    def _reply(self, reply, at):
        if not reply or self.faults.random.random() < self.faults.replies_lost:
            return
        if self.faults.random.random() < self.faults.replies_late:
            at += self.faults.random.random() * 0.01
        at = max([at, *(time for time, _ in self._coming)])
        for byte in self.faults.on(reply):
            at += BYTE
            self._coming.append((at, byte))

    def read(self, size):
        end = self.now + self.timeout
        ready = [each for each in self._coming if each[0] <= end][:size]
        self._coming = self._coming[len(ready) :]
        self.now = max(self.now, ready[-1][0]) if len(ready) == size else end
        return bytes(byte for _, byte in ready)
