"""What a machine takes of an FPGA, without synthesizing it.

Multipliers and block RAMs follow from rules (`machine`, `memories`). Look-up tables and flip-flops are sums over the
machine's terms,

    lut = distributed RAM + sum over terms of coefficient * term

whose coefficients are fitted to machines that Yosys has synthesized (`measurements.json`). The fit minimizes the
relative error and what it changes of coefficients that the structure lets expect (`_EXPECTED`), because the machines
measured are few.
"""

import json
from functools import cache
from importlib.resources import files

import numpy as np

from boards.part import Resources
from boards.sizing.machine import dsp_blocks, memories, queues, terms
from boards.sizing.memories import block_rams, cover
from quantflow.config import Config

FILE = files("boards.sizing") / "measurements.json"
FITTED = ("lut", "ff")
TRUST = 0.02  # weight of an expected coefficient: of its relative change, beside a machine's relative error

# Cells of one bit, or of one thing, of each term: about what the modules of one machine take.
_EXPECTED = {
    "lut": {
        "machine": 2500,
        "tree": 1,
        "sums": 2,
        "requantizer": 7,
        "pixels": 4,
        "rotation": 1,
        "weights": 2,
        "beats": 6,
        "ports": 200,
        "addresses": 5,
        "extents": 5,
        "packing": 0.3,
    },
    "ff": {
        "machine": 2000,
        "tree": 1,
        "sums": 2,
        "requantizer": 4,
        "pixels": 4,
        "rotation": 0.5,
        "weights": 3,
        "beats": 6,
        "ports": 200,
        "addresses": 5,
        "extents": 4,
        "packing": 0.3,
    },
}


@cache
def measurements():
    """The machines measured, as (family, Config, Resources)."""
    values = json.loads(FILE.read_text())["machines"]
    return [(each["family"], Config(**each["config"]), Resources(**each["used"])) for each in values]


def is_measured(family):
    """Whether machines of a family have been measured, so that others of it can be estimated."""
    return any(name == family for name, _, _ in measurements())


def estimate(config, family, *, leaving_out=None):
    """Resources of the machine of a Config in a family, or None for one of which no machines are measured.

    `leaving_out` is a Config whose measurement the fit does not see, so that its own estimate can be judged.
    """
    fitted = coefficients(family, leaving_out)
    if fitted is None:
        return None
    values = np.array(list(terms(config).values()), float)
    distributed = _distributed(config, family)
    return Resources(
        lut=round(distributed + values @ fitted["lut"]),
        ff=round(values @ fitted["ff"]),
        dsp=dsp_blocks(config),
        block_ram=block_rams(memories(config), family),
    )


@cache
def coefficients(family, leaving_out=None):
    """{resource: coefficient of each term, in the terms' order} of a family; None where nothing is measured."""
    machines = [(config, used) for name, config, used in measurements() if name == family and config != leaving_out]
    if not machines:
        return None
    matrix = np.array([list(terms(config).values()) for config, _ in machines], float)
    given = {
        "lut": np.array([used.lut - _distributed(config, family) for config, used in machines], float),
        "ff": np.array([used.ff for _, used in machines], float),
    }
    return {name: _fit(matrix, given[name], np.array(list(_EXPECTED[name].values()))) for name in FITTED}


def _fit(matrix, given, expected):
    """Coefficients c >= 0 that minimize |matrix @ c / given - 1|**2 + TRUST**2 * |c / expected - 1|**2."""
    scaled = matrix * expected / given[:, None]
    ratios, free = np.zeros(len(expected)), np.ones(len(expected), bool)
    while True:
        rows = np.vstack((scaled[:, free], TRUST * np.eye(free.sum())))
        wanted = np.concatenate((np.ones(len(given)), np.full(free.sum(), TRUST)))
        ratios[:] = 0
        ratios[free] = np.linalg.lstsq(rows, wanted, rcond=None)[0]
        if (ratios >= 0).all():
            return ratios * expected
        free &= ratios >= 0


def _distributed(config, family):
    """Look-up tables of the memories that are no block RAM."""
    found = [(cover(memory, family), memory.copies) for memory in (*memories(config), *queues(config))]
    return sum(each.lut * copies for each, copies in found)
