"""`quantflow run`, over a real serial port of the operating system with a stand-in for the board at its other end."""

import contextlib
import json
import os
import select
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from quantflow.arithmetic import quantize
from quantflow.manifest import Manifest
from tests.boards.driver.builds import CONFIG, IMAGES, small_build
from tests.boards.driver.serial_device import Device
from tests.boards.driver.stand_in import StandIn
from tests.quantflow.test_cli import refused, run

pty = pytest.importorskip("pty")
pytest.importorskip("serial")
BAUD = 9600  # a pseudo-terminal is as fast as it can; silences are of this speed
MACHINE = replace(CONFIG, ports=1)


class BoardDevice(Device):
    """The serial link in front of a StandIn."""

    def __init__(self, machine):
        super().__init__(0, {}, baud=BAUD)
        self.machine, self.memory, self.registers = machine, machine.memory, machine.registers

    def _write(self, address, data):
        super()._write(address, data)
        if address >> 31:
            for n in range(0, len(data), 4):
                self.machine.write_register((address & 0x7FFFFFFF) + n, int.from_bytes(data[n : n + 4], "little"))


@contextlib.contextmanager
def serial_port(device):
    """The name of a serial port at whose other end `device` answers."""
    ours, theirs = pty.openpty()
    stop = threading.Event()

    def answer():
        while not stop.is_set():
            if select.select([ours], [], [], 0.05)[0]:
                for byte in os.read(ours, 4096):
                    reply = device.take(byte, time.monotonic())
                    if reply:
                        os.write(ours, reply)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield os.ttyname(theirs)
    finally:
        stop.set()
        thread.join()
        os.close(ours)
        os.close(theirs)


@pytest.fixture
def build(tmp_path):
    """A build folder, and a dataset of its images in which the first label is wrong."""
    folder = small_build(tmp_path / "build", 3, board="ulx3s-85f", config=MACHINE)
    with np.load(folder / IMAGES) as arrays:
        images, expected = arrays["x"], arrays["expected"]
    labels = expected.reshape(3, -1).argmax(1)
    labels[0] = (labels[0] + 1) % expected.shape[1]
    np.savez(tmp_path / "test.npz", x=images.astype(np.float32), y=labels)
    return folder, images, expected


def command(folder, port, *options):
    return ("run", folder, "--port", port, "--baud", BAUD, "--images", folder.parent / "test.npz", *options)


def test_a_board_at_a_serial_port(build, tmp_path, capsys):
    folder, images, expected = build
    manifest = Manifest.read(folder)
    machine = StandIn(manifest, quantize(images, manifest.input.format), expected)
    with serial_port(BoardDevice(machine)) as port:
        assert run(*command(folder, port, "--json", tmp_path / "run.json")) == 0
    figures, text = json.loads((tmp_path / "run.json").read_text()), capsys.readouterr().out
    assert machine.runs == ["cold", "warm", "warm"]
    assert (figures["images"], figures["right"], figures["bit_exact"]) == (3, 2, True)
    assert figures["profile"]["counters"]["cycles"] == machine.registers[0x50]
    for layer in figures["profile"]["layers"]:
        assert layer["name"] in text and f"{layer['cycles']:,}" in text
    assert "66.67" in text and "bit-exact: 3 of 3 images" in text


def test_wrong_integers_and_errors_of_the_machine(build, capsys):
    folder, images, expected = build
    manifest = Manifest.read(folder)
    wrong = expected.copy()
    wrong[1, 0] += 1 - 2 * (wrong[1, 0] > 0)
    machine = StandIn(manifest, quantize(images, manifest.input.format), wrong)
    with serial_port(BoardDevice(machine)) as port:
        assert run(*command(folder, port)) == 1
        assert "bit-exact: 2 of 3 images" in capsys.readouterr().out
        machine.error = 6
        assert run(*command(folder, port, "--count", 1)) == 1
        assert "error: cold program: the machine stopped with watchdog" in capsys.readouterr().err


def test_refusals(build, tmp_path, capsys, monkeypatch):
    folder, _, _ = build
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "serial", None)
        assert "a serial line needs serial: pip install 'quantflow[driver]'" in refused(capsys, *command(folder, "x"))
    assert run(*command(folder, tmp_path / "no-port")) == 1
    assert "no-port cannot be opened" in capsys.readouterr().err
    zynq = small_build(tmp_path / "zynq", 1, config=MACHINE)
    assert "pynq-z2 has no serial link to the accelerator: docs/driver.md says how it is reached" in refused(
        capsys, "run", zynq, "--port", "x", "--images", tmp_path / "test.npz"
    )
