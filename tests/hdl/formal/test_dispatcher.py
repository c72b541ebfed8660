"""The dispatcher loses, doubles and reorders no instruction, whatever the units' speed."""

import pytest

from hdl.instructions.dispatcher import Dispatcher
from quantflow.config import Config
from quantflow.isa import INSTRUCTIONS, OPCODE_BITS
from tests.hdl.formal.prover import needs_prover, refuted
from tests.hdl.formal.queues import Queue
from tests.hdl.formal.spec import Spec, claim, mutated

pytestmark = [pytest.mark.slow, needs_prover]


def config(queue_depth):
    return Config(pixels=1, lanes=4, port_bits=32, queue_depth=queue_depth)


class Dispatch(Spec):
    """Every opcode's instructions are a queue of their own; others are dropped and reported."""

    def describe(self, m):
        instructions = self.component.instructions
        taken, word = instructions.valid & instructions.ready, instructions.payload
        opcode, occupied = word[:OPCODE_BITS], 0
        for value in INSTRUCTIONS:
            name = value.name.lower()
            output = getattr(self.component, name)
            queue = Queue(
                m,
                name,
                push=taken & (opcode == value),
                word_in=word[: output.payload.shape().size],
                pop=output.valid & output.ready,
                word_out=output.payload,
                depth=self.component.config.queue_depth,
            )
            queue.kept_in(m, self, f"{name}_queue")
            claim(m, f"{name}_offered", output.valid == (queue.count != 0))
            occupied = occupied | (queue.count != 0)
        legal = sum(opcode == value for value in INSTRUCTIONS)
        claim(m, "illegal_reported", self.component.error_illegal == (instructions.valid & ~legal))
        claim(m, "illegal_dropped", ~self.component.error_illegal | instructions.ready)
        claim(m, "idle", self.component.idle == ~(occupied | instructions.valid))


@pytest.mark.parametrize("queue_depth", [1, 3, 8])
def test_dispatcher(queue_depth, tmp_path):
    assert refuted(Dispatch(Dispatcher(config(queue_depth))), tmp_path, 1) == set()


MUTATIONS = {
    "offers too late": ("output.valid.eq(queue.r_rdy)", "output.valid.eq(queue.r_rdy & (queue.level != 1))"),
    "changes words": ("queue.w_data.eq(self.instructions.payload[:width])", "queue.w_data.eq(0)"),
    "overflows": ("self.instructions.ready.eq(queue.w_rdy)", "self.instructions.ready.eq(1)"),
    "keeps what is illegal": ("self.instructions.ready.eq(1)", "self.instructions.ready.eq(0)"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutated_dispatcher_is_refuted(name, tmp_path):
    mutant = mutated(Dispatcher, MUTATIONS[name])
    assert refuted(Dispatch(mutant(config(1))), tmp_path, 4, bounded=True)
