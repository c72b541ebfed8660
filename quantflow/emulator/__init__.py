"""The meaning of a program, exact in every integer and indifferent to time."""

from quantflow.emulator.machine import Emulator
from quantflow.emulator.scratchpads import EmulationError

__all__ = ["EmulationError", "Emulator"]
