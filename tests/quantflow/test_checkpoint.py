"""A tuning that was interrupted goes on where it was, and gives what it would have given."""

from dataclasses import replace

import pytest

from quantflow.arithmetic import Format
from quantflow.errors import UserError
from quantflow.quantized import MOVING
from quantflow.tuner import layers as layers_module
from quantflow.tuner.checkpoint import remove_checkpoint
from quantflow.tuner.tune import tune
from tests.quantflow.float_graphs import every_kind, images
from tests.quantflow.tuned_folders import assert_equal

OPTIONS = {"weight_bits": 4, "per_channel": True}


class Interrupted(Exception):
    pass


def interrupted(folder, after, network=None, calibration=None, **options):
    """Tune until the layer number `after` is finished."""

    def progress(done, total, name):
        if done == after:
            raise Interrupted

    network = every_kind() if network is None else network
    with pytest.raises(Interrupted):
        tune(network, images() if calibration is None else calibration, checkpoint=folder, progress=progress, **options)


@pytest.fixture
def rounded(monkeypatch):
    """Names of the layers whose weights are rounded, as they are."""
    names, round_weights = [], layers_module.round_weights

    def watched(layer, *arguments):
        names.append(layer.name)
        return round_weights(layer, *arguments)

    monkeypatch.setattr(layers_module, "round_weights", watched)
    return names


@pytest.mark.parametrize("method", ["paper", "default"])
@pytest.mark.parametrize("after", [1, 7, 16])
def test_the_result_is_that_of_an_uninterrupted_tuning(method, after, tmp_path, rounded):
    network, expected, gains = every_kind(), {}, {}
    plain = tune(network, images(), method=method, record=expected.__setitem__, **OPTIONS)
    weighted = list(rounded)
    rounded.clear()
    interrupted(tmp_path / "kept", after, method=method, **OPTIONS)
    seen = []
    options = OPTIONS | {"method": method, "checkpoint": tmp_path / "kept", "record": gains.__setitem__}
    again = tune(network, images(), progress=lambda *step: seen.append(step), **options)
    assert_equal(again, plain)
    assert again.tuning == plain.tuning
    assert gains == expected and list(gains) == list(expected)
    assert rounded == weighted, "no layer is rounded twice"
    done = sum(not isinstance(layer, MOVING) for layer in network.layers[:after])
    chosen = sum(not isinstance(layer, MOVING) for layer in network.layers)
    sentence = f"{done} of {chosen} layers are kept in {tmp_path / 'kept'}: tuning goes on from there"
    assert seen == [(0, 16, sentence), *((n, 16, layer.name) for n, layer in enumerate(network.layers, 1))]


def test_a_second_interruption_loses_nothing(tmp_path, rounded):
    for after in (3, 2, 9):
        interrupted(tmp_path, after, **OPTIONS)
    tuned = tune(every_kind(), images(), checkpoint=tmp_path, **OPTIONS)
    assert len(rounded) == len(set(rounded))
    assert_equal(tuned, tune(every_kind(), images(), **OPTIONS))


def other_weight():
    network = every_kind()
    network.layers[-1].weight[0, 0] += 1
    return network


OTHERS = {
    "weights": {"network": other_weight()},
    "structure": {"network": replace(every_kind(), layers=every_kind().layers[:-1])},
    "formats": {"network": replace(every_kind(), formats={"x": Format(bits=8, fl=5)})},
    "images": {"calibration": images(seed=9)},
    "order of images": {"calibration": images()[::-1]},
    "widths": {"weight_bits": 5},
    "granularity": {"per_channel": False},
    "method": {"method": "mse"},
    "steps": {"steps": ["compensation"]},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_another_tuning_starts_anew_and_says_so(other, tmp_path):
    interrupted(tmp_path, 9, **OPTIONS)
    given = {"network": every_kind(), "calibration": images(), **OPTIONS, **other}
    seen = []
    tuned = tune(**given, checkpoint=tmp_path, progress=lambda *step: seen.append(step))
    assert_equal(tuned, tune(**given))
    assert seen[0][::2] == (0, f"{tmp_path} is of another tuning: this one starts from the first layer")


@pytest.mark.parametrize("change", [{"memory": 0}, {"record": lambda name, gains: None}])
def test_what_changes_no_choice_makes_no_other_tuning(change, tmp_path, rounded):
    interrupted(tmp_path, 9, **OPTIONS)
    tune(every_kind(), images(), checkpoint=tmp_path, **OPTIONS, **change)
    assert len(rounded) == len(set(rounded))


def test_another_tuner_starts_anew(tmp_path, rounded, monkeypatch):
    interrupted(tmp_path, 9, **OPTIONS)
    before = len(rounded)
    monkeypatch.setattr("quantflow.tuner.tune.tuner_digest", lambda: "of another version")
    tune(every_kind(), images(), checkpoint=tmp_path, **OPTIONS)
    assert len(rounded) == before + 6


def test_nothing_is_said_where_nothing_was_found(tmp_path):
    seen = []
    tune(every_kind(), images(3), checkpoint=tmp_path / "a", progress=lambda *step: seen.append(step), **OPTIONS)
    assert not any(str(tmp_path) in name for _, _, name in seen)


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b""), lambda path: path.write_bytes(b"PK" * 40)])
def test_a_damaged_file_is_computed_again(damage, tmp_path):
    interrupted(tmp_path, 9, **OPTIONS)
    for path in tmp_path.glob("*.npz"):
        damage(path)
    tuned = tune(every_kind(), images(), checkpoint=tmp_path, **OPTIONS)
    assert_equal(tuned, tune(every_kind(), images(), **OPTIONS))


def test_only_its_own_files_are_removed(tmp_path):
    folder = tmp_path / "kept"
    interrupted(folder, 9, **OPTIONS)
    (folder / "mine.npz").touch()
    (folder / ".quantflow-00ff").touch()  # as a killed process leaves it
    remove_checkpoint(folder)
    assert [path.name for path in folder.iterdir()] == ["mine.npz"]
    remove_checkpoint(folder)  # nothing to remove
    (folder / "mine.npz").unlink()
    interrupted(folder, 9, **OPTIONS)
    remove_checkpoint(folder)
    remove_checkpoint(folder)
    assert not folder.exists()


def test_refuses_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file, where finished layers are kept, cannot be written: File exists$"):
        tune(every_kind(), images(1), checkpoint=tmp_path / "file")
