"""Plots as files of their own."""

import re
from xml.etree import ElementTree

from quantflow import plotting

SVG = "{http://www.w3.org/2000/svg}"


def test_a_picture_stands_alone():
    """Well-formed by itself, with both themes' colours and a light one for programs that know no variables."""
    text = plotting.picture(plotting.bar_plot(["first <layer>", "second"], [3, 5], ["3 dB", "5 dB"], "a title"))
    root = ElementTree.fromstring(text)
    left, top, width, height = map(float, root.get("viewBox").split())
    assert root.tag == f"{SVG}svg" and float(root.get("width")) == width and float(root.get("height")) == height
    assert left < 0 and top < 0, "there is a margin"
    words = [element.text for element in root.iter(f"{SVG}text")]
    assert {"first <layer>", "second", "3 dB", "a title"} <= set(words)
    assert "prefers-color-scheme: dark" in root.find(f"{SVG}style").text
    light = dict(re.findall(r"(--\w+): (#\w+)", root.find(f"{SVG}style").text.partition("@media")[0]))
    coloured = [element for element in root.iter() if "var(" in element.get("style", "")]
    assert coloured
    for element in coloured:
        for name, variable in re.findall(r"(\w+): var\((--\w+)\)", element.get("style")):
            assert element.get(name) == light[variable]
