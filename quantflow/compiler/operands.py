"""Where the maps that a stage reads and writes are while its tiles are computed, and the transfers around them."""

from quantflow.compiler.layouts import Placed
from quantflow.compiler.loads_and_stores import move_rows
from quantflow.compiler.tiles import blocks_read, rows_of, views
from quantflow.isa import Load, Region, Store

READ = ("source", "residual")
MOST_PARTS = 8  # parts in which a strip is loaded between the weights of the tiles before it


class Operands:
    """Follows the stages of one program."""

    def __init__(self, stages, placement, config, trace_offsets):
        self.stages, self.placement, self.config = stages, placement, config
        self.trace_offsets = trace_offsets
        self.inputs, self.outputs = placement.inputs, placement.outputs
        self.rows_loaded = dict.fromkeys(self.inputs, 0)  # of the network's inputs, where they stay on chip
        self.first_readers = {name: self._first_reader(name) for name in self.inputs}

    def _first_reader(self, name):
        return next(
            index for index, stage in enumerate(self.stages)
            if any(role in READ and view.map == name for role, view in views(stage).items())
        )  # fmt: skip

    def is_loaded_by(self, index):
        """Whether a stage loads rows of what it reads."""
        loads = any(role in READ for role in self.placement.plans[index].buffers)
        found = (name for name, reader in self.first_readers.items() if reader == index)
        return loads or any(name in self.placement.addresses for name in found)

    def begin(self, index, sequence):
        """Take up a stage with its tiles."""
        self.index, self.sequence = index, sequence
        self.stage, self.plan = self.stages[index], self.placement.plans[index]
        self.views, self.buffers = views(self.stage), self.plan.buffers
        self.fetched = -1  # the last strip that has been loaded, or is being prefetched
        self.waiting = []  # loads of the strip being prefetched
        self.tiles_of = {}
        for tile in sequence:
            self.tiles_of[tile.strip] = self.tiles_of.get(tile.strip, 0) + 1

    def place(self, role, number):
        """Where the map in a role is for a tile."""
        tile, view = self.sequence[number], self.views[role]
        if role not in self.buffers:
            return Placed(layout=self.placement.layouts[view.map], address=self.placement.addresses[view.map])
        buffer = self.buffers[role]
        first_block = buffer.first_block
        if role == "destination" and self.plan.chunks_outside:
            first_block = view.first_block + tile.first_block
        return Placed(
            layout=buffer.layout,
            address=buffer.addresses[tile.strip % len(buffer.addresses)],
            first_row=view.first_row + rows_of(self.stage, role, tile.row, tile.rows)[0],
            first_block=first_block,
        )

    def needed(self, number):
        """Loads without which a tile cannot be computed."""
        tile = self.sequence[number]
        entries = []
        if tile.strip > self.fetched:
            entries, self.fetched = self._strip_loads(number, 1), tile.strip
        elif tile.strip == self.fetched:
            entries, self.waiting = self.waiting, []
        return entries + self._input_loads(number)

    def ahead(self, number):
        """Loads of the next strip: its buffer is free, and what this strip still needs goes between them."""
        tile = self.sequence[number]
        following = next((n for n in range(number, len(self.sequence)) if self.sequence[n].strip > tile.strip), None)
        if following is None or not self._has_turns():
            return []
        if self.fetched == tile.strip:
            parts = min(self.tiles_of[tile.strip], MOST_PARTS)
            self.waiting = self._strip_loads(following, parts)
            self.fetched = self.sequence[following].strip
        left = sum(later.strip == tile.strip for later in self.sequence[number:])
        count = -(-len(self.waiting) // left)
        entries, self.waiting = self.waiting[:count], self.waiting[count:]
        return entries

    def _has_turns(self):
        return all(len(self.buffers[role].addresses) > 1 for role in READ if role in self.buffers)

    def _strip_loads(self, number, parts):
        """Loads of the operands of a tile that are in memory, in about so many parts."""
        tile, entries = self.sequence[number], []
        for role in READ:
            if role not in self.buffers:
                continue
            view = self.views[role]
            low, high = (view.first_row + row for row in rows_of(self.stage, role, tile.row, tile.rows))
            count = min(parts, high - low)
            cuts = [low + (high - low) * n // count for n in range(count + 1)]
            for rows in zip(cuts, cuts[1:], strict=False):
                entries += self._move(Load, role, self.place(role, number), rows, self._blocks(role, tile))
        return entries

    def _blocks(self, role, tile):
        first, count = blocks_read(self.stage)[role]
        if role == "destination" and self.plan.chunks_outside:
            first, count = first + tile.first_block, tile.block_count
        return range(first, first + count)

    def _move(self, type_, role, place, rows, blocks, *, region=None, offset=0, label=None):
        name = self.views[role].map
        if type_ is Load:
            cause = "input" if name in self.inputs else "maps in"
        else:
            cause = "output" if name in self.outputs else "maps out"
        return move_rows(
            type_, place, self.placement.layouts[name], region or self.placement.regions[name], rows, blocks,
            self.config, stage=self.index, cause=cause, offset=offset,
            label=label or f"{self.stage.name}: {name} rows {rows[0]} to {rows[1] - 1}",
        )  # fmt: skip

    def _input_loads(self, number):
        """Rows of the network's inputs that stay on chip and have not been loaded yet."""
        entries = []
        for role in READ:
            if role not in self.views or self.views[role].map not in self.inputs or role in self.buffers:
                continue
            tile, view = self.sequence[number], self.views[role]
            place, low = self._whole(view.map), self.rows_loaded[view.map]
            high = view.first_row + rows_of(self.stage, role, tile.row, tile.rows)[1]
            if high > low:
                entries += self._move(Load, role, place, (low, high), range(place.layout.blocks))
                self.rows_loaded[view.map] = high
        return entries

    def finished(self, number):
        """Stores of what is complete with a tile."""
        tile, view = self.sequence[number], self.views["destination"]
        if not tile.fills:
            return []
        rows = (view.first_row + tile.row, view.first_row + tile.row + tile.rows)
        last = number == len(self.sequence) - 1
        offset = None if self.trace_offsets is None else self.trace_offsets[view.map]
        if "destination" in self.buffers:
            place, blocks = self.place("destination", number), self._blocks("destination", tile)
            entries = self._move(Store, "destination", place, rows, blocks)
            if offset is not None and view.map not in self.outputs:
                entries += self._trace(place, rows, blocks, offset)
            return entries
        if view.map in self.outputs:
            return self._output(rows, last)
        if offset is None or not last or not self._is_last_writer():
            return []
        layout = self.placement.layouts[view.map]
        return self._trace(self.place("destination", number), (0, layout.height), range(layout.blocks), offset)

    def _output(self, rows, last):
        """Stores of an output of the network, which stays on chip until it is complete."""
        place = self._whole(self.views["destination"].map)
        layout = place.layout
        if not self._is_last_writer():
            return []
        if self.stage.output_shape[1] < layout.height:
            if not last:
                return []
            rows = (0, layout.height)
        return self._move(Store, "destination", place, rows, range(layout.blocks))

    def _whole(self, name):
        return Placed(layout=self.placement.layouts[name], address=self.placement.addresses[name])

    def _is_last_writer(self):
        name = self.views["destination"].map
        return all(stage.destination.map != name for stage in self.stages[self.index + 1 :])

    def _trace(self, place, rows, blocks, offset):
        return self._move(
            Store, "destination", place, rows, blocks, region=(Region.OUTPUT, offset),
            label=f"{self.stage.name}: trace of rows {rows[0]} to {rows[1] - 1}",
        )  # fmt: skip
