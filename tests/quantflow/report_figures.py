"""Figures for reports: what the commands would write for a network of three layers; and a page taken apart."""

from html.parser import HTMLParser

from quantflow import report
from quantflow.config import Config

CONFIG = Config(pixels=3, lanes=4, port_bits=32)
CYCLES = (1_234.4, 77, 60)
SHARES = ((900, 100, 200, 20), (10, 40, 20, 9), (0, 1, 3, 44))  # predicted: array, drain, memory, start
MOVED = ({"program": 320, "weights": 4_321, "input": 700}, {"program": 64}, {"program": 128, "output": 33})


def figures():
    """What tune, generate and simulate would write for a network of three layers."""
    names, macs = ("first", "second", "third"), (3_000, 2_000, 1_000)
    tuned = [
        {"name": name, "weight_bits": 6, "weight_fl": fl, "activation_bits": 8, "activation_fl": 4, "sqnr_db": sqnr}
        for name, fl, sqnr in zip(names, (7, [5, 8, 6], -2), (31.26, None, 12.0), strict=True)
    ]
    layers = (["first", "pool"], ["second"], ["third"])
    stages = [
        {
            "name": "+".join(layers[n]),
            "layers": layers[n],
            "cycles": CYCLES[n],
            "predicted_cycles": sum(SHARES[n]),
            "macs": macs[n],
            "utilization": macs[n] / CYCLES[n] / CONFIG.multipliers,
            "bound": report.plots.SHARES[SHARES[n].index(max(SHARES[n]))],
            "shares": dict(zip(report.plots.SHARES, SHARES[n], strict=True)),
            "bytes_moved": MOVED[n],
        }
        for n in range(3)
    ]
    spans = [["load", 0, 10, 400], ["compute", 0, 300, 1_000], ["load", 1, 400, 500], ["compute", 1, 1_000, 1_600]]
    return {
        "tuning": {"images": 1_700, "float_top1": 0.9917, "fixed_top1": 0.9871, "agreement": 0.9906, "layers": tuned},
        "build": {
            "board": "board-7",
            "config": CONFIG.to_json(),
            "multipliers": CONFIG.multipliers,
            "verilog_lines": 8_642,
            "memory_bytes": 91_357,
            "estimated_cycles": 1_500,
        },
        "simulation": {
            "images": 6,
            "mismatches": 0,
            "bit_exact": True,
            "cycles_per_image": 1_471.2,
            "predicted_cycles_per_image": 1_500,
            "macs": sum(macs),
            "multipliers": CONFIG.multipliers,
            "utilization": 0.0853,
            "bytes_per_cycle": 6.4,
            "layers": stages,
            "simulated_cycles_per_second": 123_456.7,
            "timelines": {
                "cold": {"cycles": 1_801, "spans": [*spans, ["store", 2, 1_700, 1_790]]},
                "warm": {"cycles": 1_405, "spans": spans[1:2]},
            },
        },
    }


def on_board():
    """What is added by `generate` and `build` for a board: (figures, routed)."""
    values = figures()
    has = {"lut": 8_000, "ff": 9_000, "dsp": 60, "block_ram": 0}
    estimated = {"lut": 4_321, "ff": 2_222, "dsp": 18, "block_ram": 0}
    values["build"] |= {"clock_mhz": 65, "images_per_second": 43_210.5}
    values["build"]["resources"] = {"estimated": estimated, "available": has}
    routed = {
        "board": "board-7",
        "clock_mhz": 62.5,
        "fmax_mhz": 71.237,
        "met": True,
        "resources": {"used": estimated | {"lut": 4_567}, "available": has},
        "critical_path_words": "from register <a> to register b: 14.0 ns",
        "bitstream_bytes": 234_567,
        "tools": {"some-router": "0.9"},
    }
    return values, routed


class Page(HTMLParser):
    """A page's elements, the text of its rows, and whether every element is closed."""

    EMPTY = {"meta"}

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.rows, self.references = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.references += [value for name, value in attributes if name.split(":")[-1] in ("href", "src")]
        if tag not in self.EMPTY:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th") and data.strip():
            self.rows[-1].append(data)
