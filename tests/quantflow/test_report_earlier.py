"""The report beside the one before it."""

import html
import json
import re

import pytest

from quantflow import cli, report
from quantflow.report.earlier import PageFigures, changes
from tests.quantflow.report_figures import Page, figures, on_board


def _page(earlier=None, *, name="network", date="2026-01-02 03:04 UTC", **changed):
    values, routed = on_board()
    values["simulation"] |= changed
    return report.render(name=name, **values, routed=routed, earlier=earlier, date=date)


def test_a_page_carries_its_figures():
    page = PageFigures.of_page(_page(name="</script><b>", cycles_per_image=1_471.25))
    assert (page.name, page.board, page.date) == ("</script><b>", "board-7", "2026-01-02 03:04 UTC")
    assert page.figures["cycles_per_image"] == 1_471.25 and page.figures["accuracy"] == 0.9871
    assert page.figures["routed lut"] == 4_567 and page.figures["estimated lut"] == 4_321
    assert Page(_page(name="</script><b>")).open == []


def test_the_first_page_compares_nothing():
    text = _page()
    assert "Compared with" not in text and 'class="was"' not in text and "Figures without a note" not in text


def test_figures_stand_beside_those_before():
    first = PageFigures.of_page(_page(cycles_per_image=1_600, utilization=0.0853))
    text = _page(first, cycles_per_image=1_471.2, utilization=0.0801)
    assert "Compared with the report of 2026-01-02 03:04 UTC</p>" in text
    assert 'was 1,600, <b class="better">−129</b>' in text
    assert 'was 8.53 %, <b class="worse">-0.52 points</b>' in text
    assert text.count('<small class="was">as before</small>') == 4, "accuracy, agreement, images per second, clock"


def test_resources_stand_beside_those_before():
    values, routed = on_board()
    before = PageFigures.of_page(_page())
    routed["resources"]["used"]["lut"] += 33
    routed["clock_mhz"] = 64.583
    text = report.render(name="network", **values, routed=routed, earlier=before)
    assert 'was 4,567, <b class="worse">+33</b>' in text
    assert text.count('was 62.5, <b class="better">+2.08</b>') == 2, "headline and table"


def _other(**changed):
    same = {"name": "network", "board": "board-7", "date": "yesterday", "evaluated": 1_700, "simulated": 6}
    return PageFigures(**same | {"figures": {}} | changed)


def test_other_numbers_of_images_are_said():
    """Cycles are means over images, of which the first is slower: fewer images are no slower machine."""
    assert "Compared with the report of yesterday</p>" in _page(_other())
    text = " ".join(_page(_other(simulated=2)).split())
    assert "of yesterday, judged on 1,700 images (now 1,700), simulated on 2 (now 6)</p>" in text


def test_another_network_or_board_is_named():
    other = _other(name="A & B", board="board-8")
    assert "Compared with the report of yesterday: A &amp; B on board-8</p>" in _page(other)


def test_only_what_both_know_is_compared():
    found = changes({"accuracy": 0.5, "routed lut": 7}, {"accuracy": None, "routed ff": 3, "routed lut": True})
    assert found == {}
    assert changes({"routed lut": 7}, {"routed lut": float("nan")}) == {}


@pytest.mark.parametrize("now, before, verdict", [(2, 1, "better"), (1, 2, "worse"), (1, 1, "")])
def test_more_is_better_but_for_cycles_and_resources(now, before, verdict):
    assert changes({"estimated gops": now}, {"estimated gops": before})["estimated gops"]["verdict"] == verdict
    swapped = changes({"estimated ff": before}, {"estimated ff": now})["estimated ff"]["verdict"]
    assert swapped == verdict


@pytest.mark.parametrize("changed", [{"name": 1}, {"figures": 3}, {"simulated": "6"}, {"more": 1}])
def test_damaged_figures_are_none(changed):
    def page(text):
        return PageFigures.of_page(f'<script type="application/json" id="figures">{text}</script>')

    whole = json.loads(_other().to_script())
    assert page(json.dumps(whole)) == _other()
    assert page(json.dumps(whole | changed)) is None
    assert page("") is None and page("{") is None and page("[]") is None and page('{"name": "n"}') is None
    assert PageFigures.of_page("a page of an older release") is None


@pytest.fixture
def files(tmp_path):
    values, routed = on_board()
    for name, content in (values | {"routed": routed}).items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return [str(tmp_path / f"{name}.json") for name in ("tuning", "build", "simulation", "routed")]


def _report(files, *options):
    with pytest.raises(SystemExit) as end:
        cli.main(["report", *files[:3], "--routed", files[3], *map(str, options)])
    return end.value.code or 0


def test_a_report_written_over_another_is_compared_with_it(files, tmp_path):
    output = tmp_path / "report.html"
    assert _report(files, "-o", output) == 0
    first = PageFigures.of_page(output.read_text())
    assert "Compared with" not in output.read_text()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", first.date)
    assert _report(files, "-o", output) == 0
    assert f"Compared with the report of {first.date}" in output.read_text()
    assert _report(files, "-o", tmp_path / "new.html", "--compare", output) == 0
    assert "Compared with" in (tmp_path / "new.html").read_text()


def test_a_named_report_must_be_one(files, tmp_path, capsys):
    output, other = tmp_path / "report.html", tmp_path / "other.html"
    assert _report(files, "-o", output, "--compare", other) == 2
    assert "other.html cannot be read" in capsys.readouterr().err
    other.write_bytes(b"<p>\xff")
    assert _report(files, "-o", output, "--compare", other) == 2
    other.write_text("<p>")
    capsys.readouterr()
    assert _report(files, "-o", output, "--compare", other) == 2
    assert "carries no figures" in capsys.readouterr().err.replace("\n", " ")
    assert not output.exists()
    assert _report(files, "-o", other) == 0, "what is merely replaced need not be one"


def test_pictures_are_files_of_their_own(files, tmp_path):
    assert _report(files, "-o", tmp_path / "report.html", "--pictures", tmp_path / "a" / "b") == 0
    names = {path.name for path in (tmp_path / "a" / "b").iterdir()}
    assert names == {"resources.svg", "cycles.svg", "roofline.svg", "sqnr.svg", "timeline_cold.svg",
                     "timeline_warm.svg"}  # fmt: skip
    assert html.escape("4,567 of 8,000") in (tmp_path / "a" / "b" / "resources.svg").read_text()


def test_a_file_with_a_key_missing_is_refused(files, tmp_path, capsys):
    values = figures()["simulation"]
    del values["simulated_cycles_per_second"]
    (tmp_path / "simulation.json").write_text(json.dumps(values))
    assert _report(files, "-o", tmp_path / "report.html") == 2
    assert "in this order, and build" in capsys.readouterr().err.replace("\n", " ")
