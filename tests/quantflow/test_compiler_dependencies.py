"""Tokens order everything that conflicts and nothing for nothing; programs pass queues of any depth."""

from collections import deque

import numpy as np
import pytest

from quantflow.compiler import compile_network
from quantflow.compiler.dependencies import Access, Entry, Space, add_tokens
from quantflow.compiler.ordering import in_order_of_start
from quantflow.config import Config
from quantflow.isa import Compute, Load, Opcode, Region, Store, Unit
from tests.quantflow.networks import RandomNetwork

SPACES = (Space.ACTIVATION, Space.WEIGHT, Region.WORK)


def random_entries(seed, count=60):
    random = np.random.default_rng(seed)

    def accesses(most):
        lows = random.integers(0, 30, int(random.integers(0, most)))
        return [Access(SPACES[random.integers(3)], int(low), int(low + random.integers(1, 6))) for low in lows]

    types = (Load, Compute, Store)
    return [
        Entry(
            type=types[random.integers(3)], fields={}, stage=0, label="", cause="", reads=accesses(3),
            writes=accesses(3), cycles=int(random.integers(1, 50)),
        )
        for _ in range(count)
    ]  # fmt: skip


def finished_before(entries):
    """For every entry by id, the ids of those that have finished when it begins, as tokens and units order them.

    Tokens are taken as the machine takes them: counted, first in first out.
    """
    before, tokens, last = {}, {}, {}
    for entry in entries:
        seen = set()
        for unit in Unit:
            if entry.wait >> unit & 1:
                seen |= tokens[unit, entry.unit].popleft()
        if entry.unit in last:
            seen |= before[id(last[entry.unit])] | {id(last[entry.unit])}
        before[id(entry)], last[entry.unit] = seen, entry
        for unit in Unit:
            if entry.signal >> unit & 1:
                tokens.setdefault((entry.unit, unit), deque()).append(seen | {id(entry)})
    assert not any(tokens.values()), "a token that nobody takes"
    return before


@pytest.mark.parametrize("seed", range(8))
def test_whatever_conflicts_is_ordered(seed):
    entries = random_entries(seed)
    add_tokens(entries)
    before = finished_before(entries)
    for index, entry in enumerate(entries):
        for other in entries[:index]:
            if entry.conflicts(other) and entry.unit != other.unit:
                assert id(other) in before[id(entry)]


@pytest.mark.parametrize("seed", range(8))
def test_no_wait_is_for_what_is_known(seed):
    """Without any one wait, the instruction that it names is not known to be finished."""
    entries = random_entries(seed)
    add_tokens(entries)
    for entry in entries:
        for unit, sender in entry.after.items():
            entry.wait &= ~(1 << unit)
            sender.signal &= ~(1 << entry.unit)
            assert id(sender) not in finished_before(entries)[id(entry)]
            entry.wait |= 1 << unit
            sender.signal |= 1 << entry.unit


@pytest.mark.parametrize("seed", range(8))
def test_fetching_in_order_of_start_is_a_sequential_order(seed):
    entries = random_entries(seed)
    add_tokens(entries)
    ordered = in_order_of_start(entries)
    places = {id(entry): place for place, entry in enumerate(ordered)}
    assert len(places) == len(entries)
    for entry in entries:
        assert all(places[id(other)] < places[id(entry)] for other in entry.after.values())
    for unit in Unit:
        assert [e for e in ordered if e.unit == unit] == [e for e in entries if e.unit == unit]


def run_through_queues(instructions, depth, random):
    """Whether all instructions end where dispatch is in order and each unit's queue holds `depth` of them."""
    waiting, queues, tokens = deque(instructions), {unit: deque() for unit in Unit}, {}
    while waiting or any(queues.values()):
        moves = []
        if waiting and len(queues[Unit(waiting[0].opcode - Opcode.LOAD)]) < depth:
            moves.append(None)
        for unit, queue in queues.items():
            if queue and all(tokens.get((sender, unit), 0) for sender in Unit if queue[0].wait >> sender & 1):
                moves.append(unit)
        if not moves:
            return False
        move = moves[random.integers(len(moves))]
        if move is None:
            instruction = waiting.popleft()
            queues[Unit(instruction.opcode - Opcode.LOAD)].append(instruction)
            continue
        instruction = queues[move].popleft()
        for other in Unit:
            if instruction.wait >> other & 1:
                tokens[other, move] -= 1
            if instruction.signal >> other & 1:
                tokens[move, other] = tokens.get((move, other), 0) + 1
    return True


@pytest.fixture(scope="module")
def tiled():
    network = RandomNetwork(3, (5, 20, 17)).convolution(9, (3, 3), padding=(1, 1, 1, 1))
    network.convolution(8, (3, 3), padding=(1, 1, 1, 1)).pool((2, 2)).dense(30)
    config = Config(pixels=3, lanes=4, port_bits=32, activation_depth=150, weight_depth=60, parameter_depth=4)
    return compile_network(network.finish(), config)


@pytest.mark.parametrize("depth", [1, 2, 8])
def test_queues_never_block_each_other(tiled, depth):
    random = np.random.default_rng(depth)
    assert len(tiled.programs["cold"].instructions) > 50 and tiled.work_bytes
    for program in tiled.programs.values():
        assert run_through_queues(program.instructions, depth, random)


def test_loads_in_front_of_what_they_wait_for_would_block():
    """The check above can fail."""
    load = {"target": 0, "region": 0, "width": 0, "memory_address": 0, "beats": 1, "word_address": 0}
    loads = [Load(wait=1 << Unit.STORE, signal=0, **load) for _ in range(3)]
    stores = [Store(wait=0, signal=1, region=0, memory_address=0, beats=1, word_address=0) for _ in range(3)]
    assert run_through_queues([*loads, *stores], 4, np.random.default_rng(0))
    assert not run_through_queues([*loads, *stores], 2, np.random.default_rng(0))
