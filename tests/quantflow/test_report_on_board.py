"""What the report says of the board: estimated, measured after routing, or missing."""

import html
import re

import pytest

from quantflow import report
from quantflow.errors import UserError
from quantflow.report.on_board import RESOURCES, available, missing
from quantflow.report.on_board import on_board as sources_of
from quantflow.report.resources import resources_plot
from tests.quantflow.report_figures import Page, figures, on_board


def _rows(text):
    return {row[0]: row[1:] for row in Page(text).rows if row}


def test_estimated_and_routed_figures_stand_side_by_side():
    values, routed = on_board()
    rows = _rows(report.render(name="network", **values, routed=routed))
    assert rows["LUTs"] == ["4,321", "4,567", "8,000", f"{100 * 4_567 / 8_000:.1f} %"]
    assert rows["block RAMs"] == ["0", "0", "0"], "of nothing there is no share"
    assert rows["clock (MHz)"] == ["65", "62.5"]
    measured = 62.5e6 / values["simulation"]["timelines"]["warm"]["cycles"]
    assert rows["images per second"] == ["43,210", f"{measured:,.0f}"]
    gops = [2 * values["simulation"]["macs"] * images / 1e9 for images in (43_210.5, measured)]
    assert rows["GOP/s"] == [f"{number:.4g}" for number in gops]
    assert rows["GOP/s per DSP block"] == [f"{number / 18:.4g}" for number in gops]


def test_headlines_are_measured_where_they_can_be():
    values, routed = on_board()
    text = report.render(name="network", **values, routed=routed)
    assert "<strong>62.5 MHz</strong>" in text and "routed for up to 71.24 MHz" in text
    assert "measured cycles, routed clock" in text and "Nothing here was placed" not in text
    assert html.escape(routed["critical_path_words"]) in text
    assert "234,567" in text and "<span>made by some-router</span>0.9<" in text
    text = report.render(name="network", **values)
    assert "<strong>65 MHz</strong>" in text and "asked for, not routed" in text
    assert "<strong>43,210</strong>" in text and "Nothing here was placed and routed" in text


def test_a_batch_shares_the_cycles_of_its_run():
    values, routed = on_board()
    one = sources_of(values["build"], routed, values["simulation"])["routed"]
    values["build"]["batch"] = 4
    four = sources_of(values["build"], routed, values["simulation"])["routed"]
    assert four["images_per_second"] == pytest.approx(4 * one["images_per_second"])


def test_a_missed_clock_claims_no_speed():
    values, routed = on_board()
    routed |= {"met": False, "fmax_mhz": 55.5, "images_per_second": None, "advice": "try <another> clock"}
    text = report.render(name="network", **values, routed=routed)
    rows = _rows(text)
    assert rows["images per second"] == ["43,210"] and rows["clock (MHz)"] == ["65", "62.5"]
    assert '<b class="worse">missed</b>: 55.5 MHz possible' in text
    assert "is claimed: try &lt;another&gt; clock." in text and "does not tell" not in text


def test_what_files_lack_is_named_and_not_invented():
    values, routed = on_board()
    del values["build"]["clock_mhz"], values["build"]["resources"]["estimated"]["dsp"], routed["resources"]
    sources = sources_of(values["build"], routed, values["simulation"])
    assert missing(sources, routed) == {"estimated": ["DSP blocks", "clock (MHz)"], "routed": [*RESOURCES.values()]}
    assert "gops_per_dsp" not in sources["estimated"] and "gops" in sources["estimated"]
    assert available(values["build"], routed) == values["build"]["resources"]["available"]
    text = report.render(name="network", **values, routed=routed)
    assert "The file of generate does not tell: DSP blocks, clock (MHz)." in text
    assert "The file of build does not tell: LUTs, flip-flops, DSP blocks, block RAMs." in text


def test_files_of_older_releases_give_a_page():
    text = report.render(name="network", **figures())
    names = ", ".join([*RESOURCES.values(), "clock (MHz)", "images per second"])
    assert f"The file of generate does not tell: {names}." in text
    assert "<strong></strong>" not in text and "MHz</strong>" not in text


def test_bars_are_shares_of_the_part():
    values, routed = on_board()
    part = available(values["build"], routed)
    drawing = resources_plot(sources_of(values["build"], routed, values["simulation"]), part)
    words = re.findall(r">([^<>]+)</text>", drawing)
    assert "4,321 of 8,000 (54 %)" in words and "4,567 of 8,000 (57 %)" in words
    assert {"estimated", "routed"} <= set(words) and "block RAMs" not in words, "the part has none"
    sources = {"estimated": {"lut": 12_000}}
    words = re.findall(r">([^<>]+)</text>", resources_plot(sources, part))
    assert "12,000 of 8,000 (150 %)" in words and "DSP blocks" not in words
    assert resources_plot({"estimated": {}}, part) is None


def test_another_boards_bitstream_is_refused():
    values, routed = on_board()
    routed["board"] = "board-8"
    with pytest.raises(UserError, match="is for board-8, the figures of generate for board-7"):
        report.render(name="network", **values, routed=routed)
