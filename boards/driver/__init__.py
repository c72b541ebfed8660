"""The driver: a host's side of a board that runs a build. See docs/driver.md.

`Accelerator` does the steps of an inference over a `Link`, of which there is one for each way to reach a machine.
A build folder carries this package, with what it imports, for boards on which quantflow is not installed.
"""

from boards.driver.accelerator import Accelerator, MachineError
from boards.driver.link import Link, LinkError
from boards.driver.profile import Profile

__all__ = ["Accelerator", "Link", "LinkError", "MachineError", "Profile"]
