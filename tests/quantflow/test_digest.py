"""A digest of what results depend on."""

from dataclasses import replace

import numpy as np

from quantflow.arithmetic import Format
from quantflow.digest import digest, tuner_digest
from tests.quantflow.float_graphs import every_kind


def test_differs_where_anything_does():
    values = [
        np.zeros(4), np.zeros(4, np.float32), np.zeros((2, 2)), np.zeros((2, 2))[:, :1], [0.0] * 4, (), {}, None, "",
        {"a": 1}, {"a": 2}, {"b": 1}, ["a", 1, 2], ["a", [1, 2]], [["a", 1], 2], Format(bits=8, fl=1), (8, 1, True),
        b"a", "a", every_kind(), replace(every_kind(), formats={"x": Format(bits=8, fl=1)}),
    ]  # fmt: skip
    assert len({digest(value) for value in values}) == len(values)
    assert digest(1, 2) != digest((1, 2))


def test_is_of_content():
    assert digest(np.arange(6).reshape(2, 3)[:, ::2]) == digest(np.array([[0, 2], [3, 5]]))
    assert digest(every_kind(), {"a": [1]}) == digest(every_kind(), {"a": [1]})


def test_the_tuners_source_counts(tmp_path, monkeypatch):
    before = tuner_digest()
    assert before == tuner_digest()
    (tmp_path / "__init__.py").write_text("other")
    monkeypatch.setattr("quantflow.tuner.__file__", str(tmp_path / "__init__.py"))
    assert tuner_digest() != before
