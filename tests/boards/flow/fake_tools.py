"""Stand-ins for the tools, which take no time: the clock depends on the seed alone."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from boards.flow.families import FLOWS
from boards.flow.tools import YOSYS, Tool
from tests.boards.flow import fake_commands

ROOT = Path(__file__).resolve().parents[3]


def _tool(name):
    module = fake_commands.__name__
    return Tool(name=name, package=YOSYS.package, module=module, call=f"{module}.{name}(sys.argv[1:])")


@pytest.fixture
def fake_tools(monkeypatch):
    """The ECP5's flow with the stand-ins."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))))
    stand_ins = {"synthesizer": _tool("synthesize"), "nextpnr": _tool("route"), "packer": _tool("pack")}
    monkeypatch.setitem(FLOWS, "ecp5", replace(FLOWS["ecp5"], **stand_ins))
