"""Figures as people read them, the same on the command line and in the report."""


def count(number):
    """12345.4 as "12,345"; nothing where there is no figure."""
    return "" if number is None else f"{round(number):,}"


def percent(fraction, digits=2):
    """0.98765 as "98.77 %"; nothing where there is no figure."""
    return "" if fraction is None else f"{100 * fraction:.{digits}f} %"


def decibels(value):
    """30.761 as "30.8 dB"; no figure means no noise."""
    return "exact" if value is None else f"{value:.1f} dB"


def fractional_lengths(lengths):
    """A layer's fractional length: "7", or "5 to 8" where its output channels differ."""
    if isinstance(lengths, int):
        return str(lengths)
    return f"{min(lengths)} to {max(lengths)}"
