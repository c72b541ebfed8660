"""The report: one page, nothing outside it, every figure in it."""

import html
import json
import re
import sys
from html.parser import HTMLParser

import pytest

from quantflow import plotting, report
from quantflow.config import Config
from quantflow.errors import UserError

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


def test_page_stands_alone():
    text = report.render(name="network", **figures())
    page = Page(text)
    assert page.open == [], "every element is closed"
    assert page.tags.count("svg") == 5 and not {"script", "link", "img", "iframe"} & set(page.tags)
    assert all(reference.startswith("#") for reference in page.references), "nothing outside the page"
    assert not re.search(r"url\((?!#)|@import|://", text)
    assert all(colour not in text for colour in plotting.THEME), "plots take the page's colours"


def test_every_figure_is_there():
    text = report.render(name="Net <7>", **figures())
    assert "Net &lt;7&gt; on board-7" in text, "names are escaped"
    for shown in ("99.17 %", "98.71 %", "99.06 %", "1,471", "1,500", "8.5 %", "8,642", "91,357", "123,457", "1,700"):
        assert shown in text, shown
    for key, value in CONFIG.to_json().items():
        assert re.search(f"<span>{key.replace('_', ' ')}</span>{value:,}<", text), key
    assert "bit-exact: 6 of 6 images" in text


def _rows(text):
    """The page's two tables: name of a layer to the cells behind it."""
    rows, tables = Page(text).rows, []
    for row in rows:
        if row[0] == "Layer":
            tables.append({})
        else:
            tables[-1][row[0]] = row[1:]
    return tables


def test_layers_meet_the_stages_that_compute_them():
    tuned, cycles = _rows(report.render(name="network", **figures()))
    assert tuned["first+pool"] == ["6", "7", "8", "4", "31.3 dB"]
    assert tuned["second"][1] == "5 to 8" and tuned["second"][4] == "exact"
    assert tuned["third"][1] == "-2" and list(tuned) == ["first+pool", "second", "third"]
    assert list(cycles) == [*tuned, "Whole inference"]


def test_predicted_beside_measured_and_what_bounds_a_layer():
    _, rows = _rows(report.render(name="network", **figures()))
    moved, whole = sum(MOVED[0].values()), sum(sum(each.values()) for each in MOVED)
    difference = f"{100 * (sum(SHARES[0]) / CYCLES[0] - 1):.1f} %"
    assert rows["first+pool"] == [
        "3,000", "1,234", "1,220", difference, "5.1 %", "array", f"{moved:,}", f"{3_000 / moved:.1f}",
    ]  # fmt: skip
    assert rows["second"][5] == "drain" and rows["third"][5] == "start"
    assert rows["Whole inference"] == [
        "6,000", "1,471", "1,500", "2.0 %", "8.5 %", f"{whole:,}", f"{6_000 / whole:.1f}",
    ]  # fmt: skip


def test_cycles_and_bytes_by_cause():
    text = report.render(name="network", **figures())
    for n, share in enumerate(report.plots.SHARES):
        assert f"<span>cycles, {share}</span>{sum(shares[n] for shares in SHARES):,}<" in text
    for cause in ("program", "weights", "input", "output"):
        assert f"<span>bytes moved, {cause}</span>{sum(each.get(cause, 0) for each in MOVED):,}<" in text


def test_timelines_name_their_layers():
    text = report.render(name="network", **figures())
    assert "The first image: 1,801 cycles" in text and "A later image, the weights on chip: 1,405 cycles" in text
    shown = re.findall(r"</i>([^<]*)</span>", text)
    assert shown == ["first+pool", "second", "third"]
    colours = {report.timeline.colour_of(stage) for stage in range(8)}
    assert len(colours) == 8, "neighbours differ"


def test_the_roofline_has_the_machines_roofs():
    values = figures()
    drawing = report.plots.roofline_plot(values["simulation"])
    assert f"{CONFIG.multipliers} multipliers" in drawing and "the memory moves 6.4 bytes per cycle" in drawing
    values["simulation"]["layers"][1]["macs"] = 0
    assert ">second<" in drawing and ">second<" not in report.plots.roofline_plot(values["simulation"])


def test_a_network_without_warm_program():
    values = figures()
    del values["simulation"]["timelines"]["warm"]
    assert "An image: 1,801 cycles" in report.render(name="network", **values)


def test_a_layer_that_is_addresses_alone_follows():
    values = figures()
    joined = {"name": "both", "weight_bits": None, "weight_fl": None, "sqnr_db": 7.77}
    values["tuning"]["layers"].append({"activation_bits": 8, "activation_fl": 3, **joined})
    tuned, cycles = _rows(report.render(name="network", **values))
    assert tuned["both"] == ["8", "3", "7.8 dB"] and "both" not in cycles


def test_the_inputs_format_is_shown():
    values = figures()
    values["tuning"]["input"] = {"activation_bits": 11, "activation_fl": 9}
    assert ["(input)", "11", "9"] in Page(report.render(name="network", **values)).rows


def test_what_was_set_by_hand_is_shown():
    values = figures()
    assert "In the build" not in report.render(name="network", **values)
    values["build"]["by_hand"] = ["layer <a>: weight fl 7 was set by hand (tuned: 6)"]
    expected = "<p>In the build, layer &lt;a&gt;: weight fl 7 was set by hand (tuned: 6).</p>"
    assert expected in report.render(name="network", **values)


def test_names_are_text_whatever_they_hold():
    """Neither markup nor, in plots, a formula between two $."""
    values = figures()
    name = r"/features/<b>&$\bad$/Conv"
    values["tuning"]["layers"][1]["name"] = values["simulation"]["layers"][1]["name"] = name
    values["simulation"]["layers"][1]["layers"] = [name]
    text = report.render(name="network", **values)
    assert f"<td>{html.escape(name)}</td>" in text
    end = html.escape(name[1 - plotting.NAME_LENGTH :])
    assert text.count(f">…{end}</text>") == 3, "plots keep the end of a long name"
    assert "<b>" not in text


def test_more_noise_than_signal_stays_inside_the_plot():
    values = figures()
    values["tuning"]["layers"][2]["sqnr_db"] = -7.5
    text = report.render(name="network", **values)
    ((style, x),) = re.findall(r'<text style="([^"]*)" x="([\d.]+)"[^>]*>-7.5 dB</text>', text)
    assert "text-anchor: end" in style and float(x) > 50, "there is room for the label left of the bar"


def test_mismatches_are_not_hidden():
    values = figures()
    values["simulation"] |= {"bit_exact": False, "mismatches": 2}
    text = report.render(name="network", **values)
    assert "2 of 6 images differ" in text and "bit-exact:" not in text


def test_without_labels_no_accuracy_is_claimed():
    values = figures()
    values["tuning"] |= {"float_top1": None, "fixed_top1": None}
    text = report.render(name="network", **values)
    assert "Accuracy" not in text and "99.06 %" in text


def test_the_same_figures_give_the_same_page():
    assert report.render(name="network", **figures()) == report.render(
        name="network", **json.loads(json.dumps(figures()))
    )


def test_a_layer_without_a_stage_is_an_error():
    values = figures()
    values["tuning"]["layers"][0]["name"] = "fir"
    with pytest.raises(KeyError, match="layer fir is not in the simulation"):
        report.render(name="network", **values)


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_missing_package(package, monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=r"pip install 'quantflow\[report\]'"):
        report.render(name="network", **figures())
