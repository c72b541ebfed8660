"""How many column phases each map's layout has, and in how many instructions each stage reads it.

Pixels of an instruction read columns that are S apart, S being the phases of the map. A stage whose results
have a column step of s reads it in k = S / s instructions, each making every k-th column of the results. A
residual map is read in the same instructions, so its phases are k times its own step.

A machine without phases has one pixel: its instructions step over columns, and every map has one phase.
"""

from dataclasses import dataclass, replace
from math import lcm

from quantflow.compiler.stage import FeatureMap, Stage, View, blocks
from quantflow.errors import UserError
from quantflow.graph import Window
from quantflow.isa import Operation


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The phases of every map by name, and k of every stage by index."""

    phases: dict[str, int]
    interleave: tuple[int, ...]


class _Conflict(Exception):
    """Stage `index` cannot read its map as the map's other readers need it."""

    def __init__(self, index, residual):
        super().__init__()
        self.index, self.residual = index, residual


def choose_columns(stages, maps, config):
    """(stages, maps, Columns): copies are inserted where one layout cannot serve all readers of a map.

    Raises UserError where a column step, or the write of a drain cycle's words, cannot be expressed.
    """
    stages, maps = list(stages), dict(maps)
    for index in reversed(range(len(stages))):
        _separate_padding(stages, maps, index, config)
    if not config.phase_bits:
        for stage in stages:
            _refuse_step(stage, config)
        return stages, maps, Columns(phases=dict.fromkeys(maps, 1), interleave=(1,) * len(stages))
    for _ in range(2 * len(stages) + 1):
        try:
            return stages, maps, _solve(stages, maps, config)
        except _Conflict as conflict:
            _insert_copy(stages, maps, conflict.index, residual=conflict.residual, config=config)
    raise UserError(f"layer {stages[0].name}: its maps and those behind it have no common order of columns")


def _solve(stages, maps, config):
    phases, interleave = dict.fromkeys(maps, 1), [1] * len(stages)
    changed = True
    while changed:
        changed = False
        for index, stage in enumerate(stages):
            k = _interleave(stage, interleave[index], phases)
            wanted = {name: k * step for name, step in _steps(stage)}
            if any(wanted[name] != k * step for name, step in _steps(stage)):
                raise _Conflict(index, True)  # it reads the same map with two steps
            if max(wanted.values()) > config.most_column_step:
                _refuse_step(stage, config)
                raise _Conflict(index, stage.residual is not None)
            changed |= k != interleave[index] or any(phases[name] != count for name, count in wanted.items())
            interleave[index] = k
            phases.update(wanted)
        if not changed:
            changed = _separate_banks(stages, phases, interleave, config)
    return Columns(phases=phases, interleave=tuple(interleave))


def _steps(stage):
    """(map, columns between neighbouring results) of everything that a stage reads; 1 where there are no neighbours."""
    alone = stage.output_shape[2] == 1 and stage.pool[1] == 1
    steps = [(stage.source.map, 1 if alone else stage.column_step)]
    if stage.residual is not None:
        steps.append((stage.residual.view.map, 1 if alone else stage.residual.stride[1]))
    return steps


def _interleave(stage, k, phases):
    """The smallest multiple of k for which every operand's phases are a multiple of what is known of them."""
    for name, step in _steps(stage):
        k = lcm(k, lcm(phases[name], step) // step)
    return k


def _refuse_step(stage, config):
    step = max(step for _, step in _steps(stage))
    if step > config.most_column_step:
        most = f"layouts have at most {config.most_column_step} phases"
        if not config.phase_bits:
            most = f"a machine without phases steps over {config.most_column_step} at most"
        raise UserError(f"layer {stage.name} reads every {_ordinal(step)} column, fused pooling included; {most}")


def _separate_banks(stages, phases, interleave, config):
    """Raise a stage's k, or its results' phases, where words of one drain cycle would meet in a bank.

    Returns whether something was raised.
    """
    limit = config.most_column_step
    for index, stage in enumerate(stages):
        k, target = interleave[index], phases[stage.destination.map]
        if _banks_differ(stage, target, k, config):
            continue
        most = limit // max(step for _, step in _steps(stage))
        for raised in range(2 * k, most + 1, k):
            if _banks_differ(stage, target, raised, config):
                interleave[index] = raised
                for name, step in _steps(stage):
                    phases[name] = lcm(phases[name], raised * step)
                return True
        for raised in range(2 * target, limit + 1, target):
            if _banks_differ(stage, raised, k, config):
                phases[stage.destination.map] = raised
                return True
        raise UserError(
            f"layer {stage.name} writes every {_ordinal(k)} column of a map in {target} phases, which puts words of "
            f"one cycle into one bank; fewer requantizers than {config.requantizers} would do it"
        )
    return False


def _ordinal(number):
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(number, f"{number}th")


def _banks_differ(stage, phases, k, config):
    """Whether the words of every drain cycle go to different banks, every k-th column being written."""
    pixels, drain = config.pixels, config.drain_cycles
    first, step, width = stage.destination.first_column, stage.destination.column_step, stage.output_shape[2]
    for column in range(min(k, width)):
        count = len(range(column, width, k))
        for group in range(min(-(-count // pixels), phases)):
            for cycle in range(drain):
                written = range(group * pixels + cycle, min((group + 1) * pixels, count), drain)
                banks = [(first + (column + k * n) * step) // phases % pixels for n in written]
                if len(set(banks)) < len(banks):
                    return False
    return True


def _separate_padding(stages, maps, index, config):
    """A view that begins inside its map cannot have padding on its left: what is there would be read."""
    stage = stages[index]
    if stage.source.first_column and stage.window.padding[1]:
        _insert_copy(stages, maps, index, residual=False, config=config)


def _insert_copy(stages, maps, index, *, residual, config):
    """Give stage `index` a map of its own that holds what it reads of its source or residual map."""
    stage = stages[index]
    view, count, size = _residual_extents(stage) if residual else _source_extents(stage)
    original = maps[view.map]
    channels = min(count * config.lanes, original.shape[0] - view.first_block * config.lanes)
    name = f"{view.map} for {stage.name}"
    while name in maps:
        name += "'"
    maps[name] = FeatureMap(name=name, shape=(channels, *size), format=original.format)
    stages.insert(index, _copy(view, original, maps[name], config))
    own = View(map=name)
    changed = {"residual": replace(stage.residual, view=own)} if residual else {"source": own}
    stages[index + 1] = replace(stage, **changed)


def _source_extents(stage):
    """(View, blocks, (rows, columns)) of what a stage reads of its source."""
    count = stage.block_step * (stage.output_blocks - 1) + stage.input_blocks
    return stage.source, count, stage.input_shape[1:]


def _residual_extents(stage):
    part = stage.residual
    count = part.block_step * (stage.output_blocks - 1) + part.blocks
    return part.view, count, tuple((n - 1) * s + 1 for n, s in zip(stage.output_shape[1:], part.stride, strict=True))


def _copy(view, original, copied, config):
    """A stage that copies part of a map: the maximum over one pixel."""
    return Stage(
        layers=(f"copy of {original.name}",),
        operation=Operation.MAXIMUM,
        source=view,
        destination=View(map=copied.name),
        input_shape=copied.shape,
        output_shape=copied.shape,
        window=Window(kernel=(1, 1)),
        input_blocks=1,
        output_blocks=blocks(copied.shape[0], config.lanes),
        block_step=1,
        least=original.format.min,
    )
