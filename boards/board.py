"""What a board's file says."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from boards import system
from boards.part import Part, Resources
from boards.system import LiteX, OnChip, ProcessingSystem
from quantflow.config import Config
from quantflow.cycles import MemoryTiming
from quantflow.errors import UserError

__all__ = ["Board", "LiteX", "OnChip", "Part", "ProcessingSystem", "Resources"]

RECORD = "board.json"  # in a build folder


@dataclass(frozen=True, kw_only=True)
class Board:
    """An FPGA board and the machine chosen for it."""

    name: str
    title: str
    part: Part
    vendor_board: str = ""  # the vendor's name of the board, as its tools take it
    clock_mhz: float  # asked for; only a place-and-route run shows whether it is met
    config: Config  # of the machine where a user names none
    system: ProcessingSystem | OnChip | LiteX
    given_memory: MemoryTiming | None = None  # instead of what the system's kind lets expect
    note: str = ""  # what a user must know before relying on the board's files

    @property
    def resources(self):
        return self.part.resources

    @property
    def memory(self):
        """The MemoryTiming that simulations and estimates assume."""
        return self.given_memory or self.system.timing(self.config, self.clock_mhz)

    def write(self, folder):
        """Leave the board's facts in a build folder, for whoever builds there later."""
        values = {**asdict(self), "system": system.to_json(self.system)}
        (Path(folder) / RECORD).write_text(json.dumps(values, indent=1) + "\n")

    @classmethod
    def read(cls, folder):
        """The board of a build folder; UserError where its record is missing or damaged."""
        path = Path(folder) / RECORD
        try:
            values = json.loads(path.read_text())
            converted = {
                "part": Part.from_json(values["part"]),
                "config": Config(**values["config"]),
                "given_memory": values["given_memory"] and MemoryTiming(**values["given_memory"]),
                "system": system.from_json(values["system"]),
            }
            return cls(**{**values, **converted})
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}): generate the build again") from None
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path} is damaged ({error}): generate the build again") from None
