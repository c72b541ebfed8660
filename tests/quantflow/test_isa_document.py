"""The committed page of the instruction set is the one that the code generates."""

from pathlib import Path

from quantflow.isa_document import instruction_set_page

PAGE = Path(__file__).parents[2] / "docs" / "instruction_set.md"


def test_page_is_current():
    assert PAGE.read_text() == instruction_set_page(), "run: python -m quantflow.isa_document > docs/instruction_set.md"
