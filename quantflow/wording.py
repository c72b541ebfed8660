"""Figures as people read them, the same on the command line and in the report."""

RESOURCES = {"lut": "LUTs", "ff": "flip-flops", "dsp": "DSP blocks", "block_ram": "block RAMs"}


def count(number):
    """12345.4 as "12,345"; nothing where there is no figure."""
    return "" if number is None else f"{round(number):,}"


def significant(number):
    """A figure of any size: 11162.4 as "11,162", 64.583 as "64.58"; nothing where there is no figure."""
    return "" if number is None else count(number) if abs(number) >= 1000 else f"{number:.4g}"


def percent(fraction, digits=2):
    """0.98765 as "98.77 %"; nothing where there is no figure."""
    return "" if fraction is None else f"{100 * fraction:.{digits}f} %"


def decibels(value):
    """30.761 as "30.8 dB"; nothing where there is no figure."""
    return "" if value is None else f"{value:.1f} dB"


def sqnr(figures, prefix=""):
    """A layer's signal-to-noise ratio: "30.8 dB", "exact" without noise, "no signal" where the float map is zero.

    With the prefix "output_" that of a network's output.
    """
    value = figures[f"{prefix}sqnr_db"]
    if value is not None:
        return decibels(value)
    return "exact" if figures.get(f"{prefix}exact", True) else "no signal"


def fractional_lengths(lengths):
    """A layer's fractional length: "7", or "5 to 8" where its output channels differ; nothing without weights."""
    if lengths is None:
        return ""
    if isinstance(lengths, int):
        return str(lengths)
    return f"{min(lengths)} to {max(lengths)}"


def width(bits, signed=True):
    """A width: "8", or "u8" where the numbers are unsigned; nothing where there is none."""
    return "" if bits is None else f"{'' if signed else 'u'}{bits}"


def gibibytes(count):
    """A number of bytes: "1.50 GiB"."""
    return f"{count / (1 << 30):.2f} GiB"


def points(fraction, sign="+"):
    """A difference of shares, 0.0012 as "+0.12 points"."""
    return f"{100 * fraction:{sign}.2f} points"


def change(before, after):
    """Two figures: "7" where both are that, else "7 → 8"."""
    return str(before) if before == after else f"{before} → {after}"
