"""How figures read."""

from quantflow import wording


def test_figures():
    assert wording.count(12345.4) == "12,345" and wording.count(None) == ""
    assert wording.significant(11162.4) == "11,162" and wording.significant(64.583) == "64.58"
    assert wording.significant(0) == "0" and wording.significant(999.96) == "1000" and wording.significant(None) == ""
    assert wording.percent(0.98765) == "98.77 %" and wording.percent(None) == ""
    assert wording.decibels(-30.761) == "-30.8 dB" and wording.decibels(None) == ""


def test_no_noise_and_no_signal_are_two_things():
    assert wording.sqnr({"sqnr_db": 12.345, "exact": False}) == "12.3 dB"
    assert wording.sqnr({"sqnr_db": None, "exact": True}) == "exact"
    assert wording.sqnr({"sqnr_db": None, "exact": False}) == "no signal"
    assert wording.sqnr({"output_sqnr_db": None, "output_exact": False}, "output_") == "no signal"


def test_formats():
    assert [wording.width(8), wording.width(8, signed=False), wording.width(None)] == ["8", "u8", ""]
    lengths = [wording.fractional_lengths(value) for value in (7, [5, 8, 6], -2, None)]
    assert lengths == ["7", "5 to 8", "-2", ""]


def test_bytes():
    assert [wording.gibibytes(count) for count in (0, 3 << 29, 10**12)] == ["0.00 GiB", "1.50 GiB", "931.32 GiB"]


def test_differences():
    assert [wording.points(0.0012), wording.points(-0.25), wording.points(0.001, sign="")] == [
        "+0.12 points", "-25.00 points", "0.10 points",
    ]  # fmt: skip
    assert [wording.change("7", "7"), wording.change(7, 8)] == ["7", "7 → 8"]
