"""The choice of bit widths: layer by layer, under a limit on accuracy, size or cycles.

A `Problem` says what is to be decided and measures any choice of widths; a searcher is a function of it. The one
here is `search`: sensitivities first, then a greedy descent, then exchanges that are measured one by one.
"""

from quantflow.bit_widths.final import tune_chosen
from quantflow.bit_widths.problem import Limits, Problem
from quantflow.bit_widths.search import Found, search
from quantflow.bit_widths.widths import Space, Widths

__all__ = ["Found", "Limits", "Problem", "Space", "Widths", "search", "tune_chosen"]
