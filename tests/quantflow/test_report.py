"""The report: one page, nothing outside it, every figure in it."""

import html
import json
import re
import sys

import pytest

from quantflow import plotting, report
from quantflow.errors import UserError
from tests.quantflow.report_figures import CONFIG, CYCLES, MOVED, SHARES, Page, figures


def test_page_stands_alone():
    text = report.render(name="network", **figures())
    page = Page(text)
    assert page.open == [], "every element is closed"
    assert page.tags.count("svg") == 5 and not {"link", "img", "iframe"} & set(page.tags)
    assert re.findall("<script[^>]*>", text) == ['<script type="application/json" id="figures">'], "nothing runs"
    assert all(reference.startswith("#") for reference in page.references), "nothing outside the page"
    assert not re.search(r"url\((?!#)|@import|://", text)
    assert all(colour not in text for colour in plotting.THEME), "plots take the page's colours"


def test_every_figure_is_there():
    text = report.render(name="Net <7>", **figures())
    assert "Net &lt;7&gt; on board-7" in text, "names are escaped"
    for shown in ("99.17 %", "98.71 %", "99.06 %", "1,471", "1,500", "8.5 %", "8,642", "91,357", "123,457", "1,700"):
        assert shown in text, shown
    for key, value in CONFIG.to_json().items():
        shown = ("no", "yes")[value] if isinstance(value, bool) else f"{value:,}"
        assert re.search(f"<span>{key.replace('_', ' ')}</span>{shown}<", text), key
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
