"""Which maps stay on chip and where, which ones live in memory, and how each stage is tiled for it."""

from dataclasses import dataclass, replace
from itertools import accumulate

from quantflow.compiler.allocation import Item, allocate, free_intervals
from quantflow.compiler.layouts import Layout, layout_of
from quantflow.compiler.plans import Plan, plan_stage
from quantflow.compiler.tiles import blocks_read, views
from quantflow.compiler.weights import are_resident, pieces
from quantflow.errors import UserError
from quantflow.isa import Region


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Everything that has an address; maps are named."""

    layouts: dict[str, Layout]
    addresses: dict[str, int]  # first word in the activation banks of the maps that stay on chip
    regions: dict[str, tuple]  # (Region, byte offset) of the maps that live in memory, and of inputs and outputs
    plans: tuple[Plan, ...]  # of each stage
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    resident: bool  # all weights and parameters stay on chip
    work_bytes: int  # of Region.WORK

    @property
    def cycles(self):
        return sum(plan.cycles for plan in self.plans)


@dataclass(frozen=True, kw_only=True)
class _Problem:
    """A network in the order of its stages, and when its maps live."""

    stages: list
    layouts: dict
    lives: dict  # name to (first stage, last stage)
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    resident: bool
    config: object


def place(stages, maps, columns, config, *, inputs, outputs):
    """The Placement; maps move to memory one by one, cheapest first, until every stage fits.

    `columns` are the phases of the maps, `inputs` and `outputs` name the network's, one behind the other in their
    regions of memory. Raises UserError for the first layer that fits in no way.
    """
    resident = are_resident(stages, config)
    for stage in stages:
        pieces(stage, config, resident=resident)  # raises where weights do not fit
    names = [name for name in maps if any(name == view.map for stage in stages for view in views(stage).values())]
    problem = _Problem(
        stages=stages,
        layouts={name: layout_of(maps[name], columns.phases[name], config) for name in names},
        lives={name: _life(stages, name) for name in names},
        inputs=inputs,
        outputs=outputs,
        resident=resident,
        config=config,
    )
    spilled = frozenset()
    found, failed = _attempt(problem, spilled)
    while found is None:
        choice = _cheapest(problem, spilled, failed)
        if choice is None:
            _refuse(problem, spilled, failed)
        spilled |= {choice}
        found, failed = _attempt(problem, spilled)
    return _improved(problem, spilled, found)


def _life(stages, name):
    """First and last stage that has the map; the network's input is there from the beginning."""
    using = [n for n, stage in enumerate(stages) if any(view.map == name for view in views(stage).values())]
    return using[0], using[-1]


def _bytes(problem, name):
    """What it moves to keep a map in memory: written once and read by each reader, but for input and output."""
    layout = problem.layouts[name]
    readers = sum(
        view.map == name for stage in problem.stages for role, view in views(stage).items() if role != "destination"
    )
    if name in problem.inputs:
        readers -= 1
    else:
        readers += name not in problem.outputs
    return layout.words * readers


def _may_spill(problem, name):
    """Maps written in parts of their rows' columns stay on chip: memory holds whole rows."""
    layout = problem.layouts[name]
    for stage in problem.stages:
        view = stage.destination
        if view.map == name and (view.first_column or stage.output_shape[2] < layout.width):
            return False
    return True


def _candidates(problem, spilled, failed):
    """Maps on chip at one of the stages that do not fit."""
    return [
        name
        for name, (first, last) in problem.lives.items()
        if name not in spilled and any(first <= stage <= last for stage in failed) and _may_spill(problem, name)
    ]


def _cheapest(problem, spilled, failed):
    """The map to move to memory next: one that lets most stages fit, at the cost of fewest words."""
    candidates = _candidates(problem, spilled, failed)

    def cost(name):
        placement, still = _attempt(problem, spilled | {name})
        left = 0 if placement is not None else len(still)
        return left, _bytes(problem, name), -problem.layouts[name].words

    return min(candidates, key=cost, default=None)


def _improved(problem, spilled, found):
    """Maps put back on chip, or moved to memory, one at a time while that saves cycles."""
    for name in sorted(problem.layouts, key=lambda name: -_bytes(problem, name)):
        if not spilled or not _may_spill(problem, name):
            break
        near = any(_overlap(problem.lives[name], problem.lives[other]) for other in spilled)
        if not near:
            continue
        changed = spilled ^ {name}
        better, _ = _attempt(problem, changed)
        if better is not None and better.cycles < found.cycles:
            spilled, found = changed, better
    return found


def _overlap(a, b):
    return a[0] <= b[1] and b[0] <= a[1]


def _attempt(problem, spilled):
    """(Placement, ()) with these maps in memory, or (None, stages that do not fit)."""
    layouts = {
        name: replace(layout, block_major=name in spilled and _is_written_in_parts(problem, name))
        for name, layout in problem.layouts.items()
    }
    items = [
        Item(key=name, words=layouts[name].words, first=first, last=last)
        for name, (first, last) in problem.lives.items()
        if name not in spilled
    ]
    addresses = allocate(items, problem.config.activation_depth)
    if addresses is None:
        return None, _crowded(problem, items)
    plans, failed = _plans(problem, spilled, layouts, items, addresses)
    if failed:
        return None, failed
    regions, work_bytes = _memory(problem, spilled)
    placement = Placement(
        layouts=layouts,
        addresses=addresses,
        regions=regions,
        plans=tuple(plans),
        inputs=problem.inputs,
        outputs=problem.outputs,
        resident=problem.resident,
        work_bytes=work_bytes,
    )
    return placement, ()


def _crowded(problem, items):
    """Stages at which maps exceed the banks; where none do, those at which they leave least room."""
    count = len(problem.stages)
    needed = [sum(item.words for item in items if item.first <= n <= item.last) for n in range(count)]
    limit = min(problem.config.activation_depth, max(needed) - 1)
    return [n for n in range(count) if needed[n] > limit]


def _plans(problem, spilled, layouts, items, addresses):
    """(plans of all stages, stages for whose strips there is no room); says in `layouts` whose blocks lie apart."""
    plans, failed = [], []
    for number, stage in enumerate(problem.stages):
        living = [item for item in items if item.first <= number <= item.last]
        taken = [(addresses[item.key], addresses[item.key] + item.words) for item in living]
        holes = free_intervals(taken, problem.config.activation_depth)
        plan = plan_stage(stage, layouts, spilled, holes, problem.resident, problem.config)
        if plan is None:
            failed.append(number)
            continue
        name = stage.destination.map
        if plan.chunks_outside and name in spilled:
            layouts[name] = replace(layouts[name], block_major=True)
        plans.append(plan)
    return plans, failed


def _is_written_in_parts(problem, name):
    return any(
        stage.destination.map == name and blocks_read(stage)["destination"][1] < problem.layouts[name].blocks
        for stage in problem.stages
    )


def _memory(problem, spilled):
    """(regions of the maps in memory, bytes of Region.WORK)."""
    size = problem.config.bank_row_bytes
    regions = {}
    for region, names in ((Region.INPUT, problem.inputs), (Region.OUTPUT, problem.outputs)):
        starts = accumulate((problem.layouts[name].words * size for name in names), initial=0)
        regions |= {name: (region, start) for name, start in zip(names, starts, strict=False)}
    items = [
        Item(key=name, words=problem.layouts[name].words, first=first, last=last)
        for name, (first, last) in problem.lives.items()
        if name in spilled and name not in regions
    ]
    offsets = allocate(items)
    ends = [offsets[item.key] + item.words for item in items]
    regions |= {name: (Region.WORK, offset * size) for name, offset in offsets.items()}
    return regions, max(ends, default=0) * size


def _refuse(problem, spilled, failed):
    """Name the first stage that fits in no way, and what one row of its results needs."""
    number = failed[0]
    stage, needed = problem.stages[number], 0
    for role, view in views(stage).items():
        layout = problem.layouts[view.map]
        if view.map not in spilled:
            needed += layout.words
            continue
        rows = 1 if role != "source" else min(stage.input_shape[1], stage.window.extent[0])
        needed += rows * layout.blocks * layout.line
    for name, (first, last) in problem.lives.items():
        if first <= number <= last and name not in spilled and name not in {v.map for v in views(stage).values()}:
            needed += problem.layouts[name].words
    raise UserError(
        f"layer {stage.name} does not fit: what it reads and writes for one row needs {needed} words in each bank "
        f"of the activation scratchpad, which has {problem.config.activation_depth}"
    )
