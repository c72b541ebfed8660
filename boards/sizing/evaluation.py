"""How fast a candidate runs a network and what it takes: compiled, and followed by the cycle model."""

import multiprocessing
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

from boards.part import Resources
from boards.sizing.limits import Limits
from boards.sizing.model import estimate
from quantflow.compiler import compile_network, later_program
from quantflow.config import Config
from quantflow.cycles import estimate as follow
from quantflow.errors import UserError
from quantflow.manifest import memory_bytes

CONNECTING = 10  # seconds that a Dask scheduler may take to answer
_network = None  # in a worker process: (quantized, board, batch)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A candidate that was compiled."""

    config: Config
    cycles: float  # for an image, with the weights on the chip where they stay there
    images_per_second: float  # at the board's clock
    resources: Resources | None  # None where no machine of the family has been measured
    memory_bytes: int
    fits: bool  # in the part, its memory in block RAM included


def evaluate(quantized, board, config, batch=1):
    """The Evaluation of a Config for a QuantizedNetwork on a board; UserError where the network does not fit it."""
    board = replace(board, config=config)
    deployment = compile_network(quantized, config, batch)
    cycles = follow(deployment, board.memory, later_program(deployment.programs)).cycles / batch
    limits, used, needed = Limits.of(board), estimate(config, board.part.family), memory_bytes(deployment)
    if used is not None:
        used = limits.with_memory(used, config, needed)
    return Evaluation(
        config=config,
        cycles=cycles,
        images_per_second=board.clock_mhz * 1e6 / cycles,
        resources=used,
        memory_bytes=needed,
        fits=used is None or limits.fits(used),
    )


def attempt(quantized, board, config, batch=1):
    """As `evaluate`, or the UserError itself."""
    try:
        return evaluate(quantized, board, config, batch)
    except UserError as error:
        return error


class Workers:
    """Evaluates configurations on all cores, or on a Dask cluster; a context manager.

    `map(configs)` yields (config, Evaluation or UserError) in the order of `configs`.
    """

    def __init__(self, quantized, board, batch=1, *, cluster=None):
        self.job, self.cluster = (quantized, board, batch), cluster
        self.count = os.cpu_count() or 1

    def __enter__(self):
        if self.cluster is not None:
            self._connect()
            return self
        # Forked workers have the network already, and a script that calls this needs no guard of its main module.
        method = "fork" if sys.platform == "linux" else None
        context = multiprocessing.get_context(method)
        self._pool = ProcessPoolExecutor(self.count, mp_context=context, initializer=_hold, initargs=(self.job,))
        return self

    def __exit__(self, *_):
        if self.cluster is None:
            self._pool.shutdown(cancel_futures=True)
        else:
            self._client.close()

    def map(self, configs):
        if self.cluster is None:
            yield from zip(configs, self._pool.map(_attempt_held, configs), strict=True)
            return
        # The network travels once to each worker, not with each configuration.
        futures = [self._client.submit(_attempt_sent, self._sent, config, pure=False) for config in configs]
        for config, future in zip(configs, futures, strict=True):
            yield config, future.result()

    def _connect(self):
        try:
            from distributed import Client
        except ImportError:
            raise UserError("a cluster needs Dask: pip install 'quantflow[cluster]'") from None
        try:
            self._client = Client(self.cluster, timeout=CONNECTING, set_as_default=False)
        except (OSError, ValueError) as error:
            raise UserError(f"there is no Dask scheduler at {self.cluster}: {error}") from None
        self.count = max(1, sum(self._client.nthreads().values()))
        self._sent = self._client.scatter([self.job], broadcast=True)[0]


def _hold(job):
    global _network
    _network = job


def _attempt_held(config):
    quantized, board, batch = _network
    return attempt(quantized, board, config, batch)


def _attempt_sent(job, config):
    quantized, board, batch = job
    return attempt(quantized, board, config, batch)
