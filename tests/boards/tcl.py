"""Runs a Vivado script with the vendor's commands replaced by ones that record their arguments."""

import importlib.util
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

COMMANDS = (
    "add_files apply_bd_automation assign_bd_address connect_bd_intf_net connect_bd_net create_bd_cell"
    " create_bd_design create_project current_fileset current_project get_bd_addr_segs get_bd_addr_spaces"
    " get_bd_intf_pins get_bd_pins get_board_parts get_files get_property get_runs launch_runs make_wrapper open_run"
    " report_timing_summary report_utilization save_bd_design set_property update_compile_order validate_bd_design"
    " wait_on_run write_hw_platform"
).split()
# What the commands answer: a cell, pin, run or file its name, an object of another its name and more, a property what
# the test says. The last step leaves the files that Vivado leaves.
ANSWERS = r"""
proc stub::answer {command arguments} {
    set last [lindex $arguments end]
    switch $command {
        create_bd_cell - get_bd_pins - get_bd_intf_pins - get_runs - get_files - get_bd_addr_spaces { return $last }
        get_bd_addr_segs { return [expr {"-of_objects" in $arguments ? "$last/reg0" : $last}] }
        current_project { return project }
        current_fileset { return sources_1 }
        get_board_parts { return $stub::board_parts }
        get_property { return [dict get $stub::properties [lindex $arguments 0]] }
        launch_runs {
            if {"write_bitstream" in $arguments} {
                foreach {folder file} {quantflow.runs/impl_1 system_wrapper.bit
                                       quantflow.gen/sources_1/bd/system/hw_handoff system.hwh} {
                    file mkdir [file join vivado $folder]
                    close [open [file join vivado $folder $file] w]
                }
            }
        }
    }
}
set stub::record [open record.txt w]
fconfigure $stub::record -encoding utf-8
foreach command $stub::commands {
    proc $command args [format {
        puts -nonewline $stub::record [join [list %1$s {*}$args] \x1f]\x1e
        return [stub::answer %1$s $args]
    } $command]
}
"""
PROPERTIES = {
    "PROGRESS": "100%",
    "STATUS": "done",
    "STATS.WNS": "0.12",
    "STATS.WHS": "0.03",
    "CONFIG.PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ": "99.9",
}


@dataclass(frozen=True, kw_only=True)
class Run:
    """What a script did: every vendor's command with its arguments, in order, and the error that ended it, if any."""

    calls: list
    error: str

    def of(self, command):
        """The arguments of each call of a command."""
        return [arguments for name, *arguments in self.calls if name == command]


def available():
    """Whether there is an interpreter of Tcl: the program, or the one in most Pythons."""
    return bool(shutil.which("tclsh")) or importlib.util.find_spec("_tkinter") is not None


def run(script, *, board_parts=(), **properties):
    """Run `script`, a path, in its folder; properties named with an underscore, as stats_wns, are other than usual."""
    folder = Path(script).parent
    changed = {name.upper().replace("_", ".", 1): value for name, value in properties.items()}
    values = " ".join(f"{name} {{{value}}}" for name, value in {**PROPERTIES, **changed}.items())
    main = folder / "main.tcl"
    main.write_text(
        f"cd {{{folder}}}\nnamespace eval stub {{}}\nset stub::commands {{{' '.join(COMMANDS)}}}\n"
        f"set stub::board_parts {{{' '.join(board_parts)}}}\nset stub::properties {{{values}}}\n{ANSWERS}\n"
        f"set failed [catch {{source {{{script}}}}} message]\nclose $stub::record\nif {{$failed}} {{error $message}}\n"
    )
    error = _interpret(main)
    calls = (folder / "record.txt").read_text().split("\x1e")[:-1]
    return Run(calls=[call.split("\x1f") for call in calls], error=error)


def _interpret(main):
    """The error with which a Tcl file ends, or nothing."""
    if shutil.which("tclsh"):
        ended = subprocess.run(["tclsh", str(main)], capture_output=True, text=True, timeout=60)
        assert bool(ended.returncode) == bool(ended.stderr)
        return ended.stderr.partition("\n")[0]
    import tkinter

    try:
        tkinter.Tcl().eval(f"source {{{main}}}")
    except tkinter.TclError as error:
        return str(error)
    return ""
