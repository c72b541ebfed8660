"""Which pins the ports of `top` have, in the words of each family's place-and-route tool."""

INPUTS = ("clock", "rx", "reset")


def ecp5(system):
    """A .lpf file, of Lattice's preference language."""
    lines = [f'FREQUENCY PORT "clock" {system.oscillator_mhz:g} MHZ;']
    for name, pin in system.pins.items():
        pull = f"PULLMODE={_rest(system)} " if name == "reset" else ""
        lines += [f'LOCATE COMP "{name}" SITE "{pin}";', f'IOBUF PORT "{name}" {pull}IO_TYPE={system.io_standard};']
    return "\n".join(lines) + "\n"


def ice40(system):
    """A .pcf file of nextpnr-ice40. Its inputs can be pulled up only."""
    pulled = {"reset"} if system.reset_active_low else set()
    lines = [f"set_io {'-pullup yes ' if name in pulled else ''}{name} {pin}" for name, pin in system.pins.items()]
    return "\n".join([*lines, f"set_frequency clock {system.oscillator_mhz:g}"]) + "\n"


def gowin(system):
    """A .cst file, of Gowin's physical constraints."""
    lines = []
    for name, pin in system.pins.items():
        pull = f" PULL_MODE={_rest(system)}" if name == "reset" else ""
        lines += [f'IO_LOC "{name}" {pin};', f'IO_PORT "{name}" IO_TYPE={system.io_standard}{pull};']
    return "\n".join(lines) + "\n"


def _rest(system):
    """Where the reset button's pin rests while nobody presses it."""
    return "UP" if system.reset_active_low else "DOWN"


WRITERS = {"ecp5": ("board.lpf", ecp5), "ice40": ("board.pcf", ice40), "gowin": ("board.cst", gowin)}
