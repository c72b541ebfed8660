"""Maps in memory, streamed weights, taps in pieces, columns in phases: each form is chosen where it should be."""

import pytest

from quantflow import integer_engine
from quantflow.compiler import compile_network
from quantflow.compiler.lowering import lower
from quantflow.compiler.phases import choose_columns
from quantflow.config import Config
from quantflow.errors import UserError
from quantflow.isa import Opcode, Region
from tests.quantflow.compiled import check
from tests.quantflow.networks import RandomNetwork

SAME = {"kernel": (3, 3), "padding": (1, 1, 1, 1)}


def compiled(network, **options):
    """The deployment of a RandomNetwork, its programs checked on the emulator."""
    config = Config(**{"pixels": 2, "lanes": 4, "port_bits": 32, "accumulator_bits": 40} | options)
    quantized, images = network.finish(), network.images(2)
    deployment = compile_network(quantized, config)
    check(deployment, images, integer_engine.run_integers(quantized, images, keep=True))
    return deployment


def computes(deployment, program="cold"):
    return [word for word in deployment.programs[program].instructions if word.opcode == Opcode.COMPUTE]


def test_fully_connected_layers_stream_through_a_small_scratchpad():
    network = RandomNetwork(1, (12, 5, 6)).dense(18).dense(40)
    words = 5 * 6 * 3
    deployment = compiled(network, weight_depth=words - 1, parameter_depth=3)
    pieces = [word for word in computes(deployment) if word.partial or word.continues]
    assert len(pieces) >= 3 * 5 and not pieces[0].continues and not pieces[-1].partial
    moved = deployment.programs["cold"].bytes_moved["weights"]
    assert moved == (words * 5 + 5 * 10) * 4 * 4  # each word once
    largest = max(word.kernel_rows * word.kernel_columns * word.input_blocks for word in pieces)
    assert largest <= (words - 1) // 4  # so that three can be loaded while one is used


@pytest.mark.parametrize(("channels", "rows", "columns"), [(4, 3, 6), (20, 1, 2), (60, 1, 1)])
def test_pieces_are_rows_columns_or_blocks(channels, rows, columns):
    """A piece has 20 words; one kernel row of 6 columns takes 6, 30 or 90, one tap 1, 5 or 15."""
    network = RandomNetwork(1, (channels, 6, 6)).dense(7).dense(30)
    pieces = computes(compiled(network, weight_depth=80, parameter_depth=3, requantizers=2, activation_depth=4096))
    pieces = [word for word in pieces if word.partial or word.continues]
    assert {word.continues for word in pieces} == {0, 1}
    assert max(word.kernel_rows for word in pieces) == rows
    assert max(word.kernel_columns for word in pieces) == (6 if rows > 1 else 3 if columns > 1 else 1)


@pytest.mark.parametrize("stride", [1, 2])
def test_convolutions_with_too_many_taps_are_computed_group_by_group(stride):
    network = RandomNetwork(8, (20, 5, 7)).convolution(8, **SAME)
    trunk = network.last
    network.convolution(30, (1, 1), (stride, stride), source=trunk)
    small = network.last
    network.convolution(30, (1, 1), source=small)
    network.convolution(30, source=small, residual=network.last, **SAME)
    deployment = compiled(network, weight_depth=50, parameter_depth=4)
    named = zip(computes(deployment), labels(deployment), strict=True)
    pieces = [word for word, label in named if label.startswith("conv4")]
    height, width = -(-5 // stride), -(-7 // stride)
    assert sum(not word.partial for word in pieces) == 8 * height * -(-width // 2)
    assert all(word.output_groups == word.output_rows == word.output_blocks == 1 for word in pieces)


def test_weights_that_fit_once_are_loaded_once_though_rows_are_many():
    network = RandomNetwork(2, (4, 40, 12)).convolution(8, **SAME).convolution(8, **SAME).pool((10, 12))
    deployment = compiled(network, activation_depth=260, weight_depth=1024)
    moved = deployment.programs["cold"].bytes_moved
    once = sum(stage.output_blocks * stage.weight_words for stage in lowered(network)[0]) * 16
    assert deployment.work_bytes and moved["weights"] == once


def lowered(network, **options):
    config = Config(**{"pixels": 2, "lanes": 4, "port_bits": 32, "accumulator_bits": 40} | options)
    return lower(network.finish(), config)


def test_maps_in_memory_are_read_and_written_in_strips():
    network = RandomNetwork(2, (4, 40, 12)).convolution(8, **SAME).convolution(8, **SAME).pool((10, 12))
    deployment = compiled(network, activation_depth=260, weight_depth=1024)
    program = deployment.programs["cold"]
    work = [word for word in program.instructions if getattr(word, "region", None) == Region.WORK]
    loads = [word for word in work if word.opcode == Opcode.LOAD]
    stores = [word for word in work if word.opcode == Opcode.STORE]
    assert len(loads) >= 4 and len(stores) >= 4
    size = deployment.config.beat_bytes
    assert all(word.memory_address + word.beats * size <= deployment.work_bytes for word in work)
    moved = program.bytes_moved
    assert moved["maps out"] <= deployment.work_bytes
    assert moved["maps out"] < moved["maps in"] < 3 * moved["maps out"]  # halos are read twice


def test_large_weights_with_many_rows_are_loaded_once_for_all_strips():
    """Where the weights do not fit and the rows do not either, the smaller of the two is loaded again."""
    network = RandomNetwork(3, (4, 10, 6)).convolution(64, **SAME).convolution(64, **SAME).dense(2)
    deployment = compiled(network, activation_depth=900, weight_depth=320, parameter_depth=32)
    moved = deployment.programs["cold"].bytes_moved
    once = sum(stage.output_blocks * stage.weight_words for stage in lowered(network)[0]) * 16
    assert moved["weights"] < 1.5 * once


def test_readers_of_other_steps_share_a_layout():
    network = RandomNetwork(4, (4, 9, 13)).convolution(8, **SAME)
    trunk = network.last
    network.convolution(8, (1, 1), (2, 2), source=trunk)
    narrow = network.last
    network.convolution(8, (3, 3), (2, 2), (1, 1, 1, 1), source=trunk, residual=narrow)
    network.convolution(4, source=trunk, **SAME)
    deployment = compiled(network)
    named = zip(computes(deployment), labels(deployment), strict=True)
    plain = [word for word, label in named if label.startswith("conv4")]
    assert all(word.source.phases == 2 for word in plain)
    assert {word.output_columns for word in plain} == {7, 6}  # of 13, every second one from 0 and from 1


def labels(deployment):
    """What the compute instructions of the cold program are for."""
    program = deployment.programs["cold"]
    return [label for label, cause in zip(program.labels, program.causes, strict=True) if not cause]


@pytest.mark.parametrize("step", [1, 2])
def test_one_map_read_with_two_steps_by_one_layer_is_copied(step):
    """Its convolution reads every second column, its residual every column, or every second one."""
    network = RandomNetwork(5, (4, 8, 8)).convolution(4, **SAME)
    trunk = network.last
    network.slice((0, 0, 0), (4, 4, 4), (1, step, step), source=trunk)
    small = network.last
    network.convolution(4, (3, 3), (2, 2), (1, 1, 1, 1), source=trunk, residual=small)
    stages, maps, columns = choose_columns(*lowered(network)[:2], Config(pixels=2, lanes=4, port_bits=32))
    copies = [stage for stage in stages if stage.layers[0].startswith("copy")]
    assert len(copies) == (step == 1)
    assert len(columns.interleave) == len(stages) and set(columns.phases) == set(maps)
    compiled(network)


def test_steps_beyond_the_phases_are_refused():
    network = RandomNetwork(6, (4, 30, 30)).convolution(4, (1, 1)).convolution(3, (3, 3), (9, 9))
    with pytest.raises(UserError, match="layer conv2 reads every 9th column, .*; layouts have at most 7 phases"):
        compiled(network)


def test_requantizers_that_would_meet_in_a_bank_are_refused():
    network = RandomNetwork(6, (16, 30, 30)).convolution(4, (3, 3), (3, 3)).convolution(3, (1, 1), (3, 3))
    with pytest.raises(UserError, match="layer conv1 writes .* into one bank; fewer requantizers than 2 would do it"):
        compiled(network, requantizers=2)


def test_a_map_that_is_too_wide_for_one_row_is_refused():
    network = RandomNetwork(7, (4, 12, 60)).convolution(8, **SAME).convolution(4, **SAME)
    with pytest.raises(UserError, match=r"layer conv\d does not fit: .* for one row needs \d+ words in each bank"):
        compiled(network, activation_depth=64)
