"""The main figures that a page carries within itself, and what they were on an earlier page."""

import json
import math
import re
from dataclasses import asdict, dataclass

from quantflow.wording import RESOURCES, percent, points, significant

_CARRIED = re.compile(r'<script type="application/json" id="figures">(.*?)</script>', re.DOTALL)
SHARES = ("accuracy", "agreement", "utilization")
LESS_IS_BETTER = ("cycles_per_image", *RESOURCES)


@dataclass(frozen=True, kw_only=True)
class PageFigures:
    """A page's main figures, for the next page to be compared with."""

    name: str  # of the network
    board: str
    date: str  # of the page
    evaluated: int  # images behind accuracy and agreement
    simulated: int  # images behind the cycles
    figures: dict  # key to number; figures of the board as "estimated lut", "routed clock_mhz"

    def to_script(self):
        """JSON that can stand in a <script> element, whatever the names hold."""
        return json.dumps(asdict(self)).replace("<", r"\u003c")

    @classmethod
    def of_page(cls, text):
        """The figures that a page carries; None where there are none, as on a page of an older release."""
        found = _CARRIED.search(text)
        try:
            page = cls(**json.loads(found[1]))
        except (TypeError, ValueError, RecursionError):
            return None
        kinds = cls.__annotations__.items()
        return page if all(isinstance(getattr(page, name), kind) for name, kind in kinds) else None


def main_figures(tuning, simulation, sources):
    """The figures that are compared, those that are known: `sources` is what `on_board` gives."""
    figures = {
        "accuracy": tuning["fixed_top1"],
        "agreement": tuning["agreement"],
        "cycles_per_image": simulation["cycles_per_image"],
        "utilization": simulation["utilization"],
    }
    for source, numbers in sources.items():
        figures |= {f"{source} {key}": number for key, number in numbers.items()}
    return {key: number for key, number in figures.items() if number is not None}


def changes(now, before):
    """{key: {before, difference, verdict}} in words, for the figures that both pages know.

    The verdict is "better" or "worse"; it and the difference are empty where the figures are the same.
    """
    both = [key for key in now if _is_number(before.get(key))]
    return {key: _change(key, now[key], before[key]) for key in both}


def _change(key, now, before):
    if key in SHARES:
        shown, difference = percent(before), points(now - before)
        same = points(abs(now - before)) == points(0)
    else:
        shown, now, before = significant(before), _as_shown(now), _as_shown(before)
        difference = ("+" if now > before else "−") + significant(abs(now - before))
        same = now == before
    if same:
        return {"before": shown, "difference": "", "verdict": ""}
    better = (now < before) == (key.split()[-1] in LESS_IS_BETTER)
    return {"before": shown, "difference": difference, "verdict": "better" if better else "worse"}


def _as_shown(number):
    """The number that `significant` writes, so that differences are those of what is read."""
    return float(significant(number).replace(",", ""))


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
