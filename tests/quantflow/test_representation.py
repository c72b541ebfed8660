"""What an interpreter and a notebook show: every layer, nothing that a name could break."""

from dataclasses import replace

import pytest

from quantflow.evaluate import evaluate
from tests.quantflow.branched import branched, branched_images
from tests.quantflow.test_report import Page


def objects():
    tuned = branched()
    return {
        "Network branched": tuned.network,
        "QuantizedNetwork branched": tuned,
        "Evaluation: agreement": evaluate(tuned, branched_images()),
    }


@pytest.mark.parametrize("title", objects())
def test_text_and_html_hold_the_same_rows(title):
    shown = objects()[title]
    first, head, *rows = repr(shown).splitlines()
    assert first.startswith(title) and head.startswith("layer")
    page = Page(shown._repr_html_())
    assert page.open == []
    names = [layer.name for layer in branched().network.layers if title.startswith("Network") or layer.name != "pool"]
    assert [row.split()[0] for row in rows][-len(names) :] == names
    assert [row[0] for row in page.rows][-len(names) :] == names
    assert len({len(line) for line in (head, *rows)}) <= 3, "columns stand under each other"


def test_a_layer_worked_by_hand():
    lines = {line.split()[0]: line.split() for line in repr(branched()).splitlines()}
    assert lines["conv1"][1:6] == ["Convolution", "8", "8", "u8", "6"]
    assert lines["sum"][1:4] == ["Add", "7", "4"]
    conv = next(line for line in repr(branched().network).splitlines() if line.startswith("conv1"))
    assert conv.split() == ["conv1", "Convolution", "4", "x", "6", "x", "6", f"{4 * 2 * 9 * 36:,}", "76"]


def test_names_are_no_markup():
    network = branched().network
    odd = replace(network, layers=(replace(network.layers[0], name="<b>&conv"), *network.layers[1:]))
    assert "&lt;b&gt;&amp;conv" in odd._repr_html_() and "<b>" not in odd._repr_html_()
