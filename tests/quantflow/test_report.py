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


def figures():
    """What tune, generate and simulate would write for a network of three layers."""
    names, macs = ("first", "second", "third"), (3_000, 2_000, 1_000)
    tuned = [
        {"name": name, "weight_bits": 6, "weight_fl": fl, "activation_bits": 8, "activation_fl": 4, "sqnr_db": sqnr}
        for name, fl, sqnr in zip(names, (7, [5, 8, 6], -2), (31.26, None, 12.0), strict=True)
    ]
    stages = [
        {"name": name, "cycles": cycles, "macs": mac, "utilization": mac / cycles / CONFIG.multipliers}
        for name, cycles, mac in zip(("first+pool", "second", "third"), (1_234.4, 77, 60), macs, strict=True)
    ]
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
            "macs": sum(macs),
            "multipliers": CONFIG.multipliers,
            "utilization": 0.0853,
            "layers": stages,
            "simulated_cycles_per_second": 123_456.7,
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
    assert page.tags.count("svg") == 2 and not {"script", "link", "img", "iframe"} & set(page.tags)
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


def test_layers_meet_the_stages_that_compute_them():
    rows = {row[0]: row[1:] for row in Page(report.render(name="network", **figures())).rows}
    assert rows["first+pool"] == ["6", "7", "8", "4", "31.3 dB", "3,000", "1,234", "5.1 %"]
    assert rows["second"][1] == "5 to 8" and rows["second"][4] == "exact"
    assert rows["third"][1] == "-2"
    assert list(rows)[1:] == ["first+pool", "second", "third", "Whole inference"]


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
    text = report.render(name="network", **values)
    assert f"<td>{html.escape(name)}</td>" in text
    end = html.escape(name[1 - plotting.NAME_LENGTH :])
    assert text.count(f">…{end}</text>") == 2, "plots keep the end of a long name"
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
