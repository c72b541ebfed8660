"""`isa.Compute` as its docstring has it, loop by loop, in Python integers: what the emulator is held against."""

from quantflow.isa import Operation


class LiteralMachine:
    """Scratchpads as nested lists taken from a Scratchpads; `run` performs one instruction."""

    def __init__(self, pads):
        self.config = pads.config
        self.activations, self.weights = pads.activations.tolist(), pads.weights.tolist()
        self.bias, self.shift, self.greatest = pads.bias.tolist(), pads.shift.tolist(), pads.greatest.tolist()
        self.accumulators = pads.accumulators.tolist()

    def run(self, i):
        P, writes = self.config.pixels, []
        for ob in range(i.output_blocks):
            for oy in range(i.output_rows):
                for og in range(i.output_groups):
                    best = None
                    for wy in range(i.window_rows):
                        for wx in range(i.window_columns):
                            y = self.group(i, ob, oy, og, wy, wx)
                            if y is None:
                                continue
                            best = y if best is None else [[*map(max, a, b)] for a, b in zip(best, y, strict=True)]
                    for p in range(P):
                        if best is not None and og * P + p < i.output_columns:
                            writes.append((*self.target(i, ob, oy, og, p), best[p]))
        for bank, address, word in writes:
            half = 1 << (self.config.activation_bits - 1)
            self.activations[bank][address] = [(value + half) % (2 * half) - half for value in word]

    def group(self, i, ob, oy, og, wy, wx):
        config, lanes, P = self.config, range(self.config.lanes), range(self.config.pixels)
        acc = [list(row) for row in self.accumulators] if i.continues else [[0 for _ in lanes] for _ in P]
        steps = i.kernel_rows * i.kernel_columns * i.input_blocks
        words = 0 if i.uniform else i.residual_passes * i.residual_blocks + i.passes * steps
        w = i.weight_address + ob * words
        seen = [[i.least for _ in lanes] for _ in P]
        begun = False
        for _ in range(i.residual_passes):
            acc, begun = self.carried(acc, begun)
            for c in range(i.residual_blocks):
                x = [self.residual(i, ob, oy, og, c, p) for p in P]
                self.accumulate(acc, x, w)
                w += 1
        for n in range(i.passes):
            acc, begun = self.carried(acc, begun and not (n == 0 and i.residual_aligned))
            for ky in range(i.kernel_rows):
                for kx in range(i.kernel_columns):
                    for c in range(i.input_blocks):
                        x = [self.source(i, ob, oy, og, wy, wx, ky, kx, c, p) for p in P]
                        if i.operation == Operation.MAXIMUM:
                            for p in P:
                                if x[p] is not None:
                                    seen[p] = [*map(max, seen[p], x[p])]
                            continue
                        self.accumulate(acc, x, w)
                        w += not i.uniform
            w += i.uniform
        if i.operation == Operation.MAXIMUM:
            return seen
        if i.partial:
            self.accumulators = acc
            return None
        row = i.parameter_address + ob
        return [[self.result(i, acc[p][o], row, o) for o in range(config.lanes)] for p in P]

    def carried(self, acc, begun):
        return ([[value << self.config.pass_shift for value in row] for row in acc] if begun else acc), True

    def accumulate(self, acc, x, w):
        for p, word in enumerate(x):
            for o in range(self.config.lanes):
                acc[p][o] += sum(a * b for a, b in zip(word, self.weights[w][o], strict=True)) if word else 0

    def result(self, i, acc, row, o):
        total = acc + self.bias[row][o]
        total -= total % (1 << i.dropped_bits)
        shift = self.shift[row][o]
        if shift <= 0:
            y = total << -shift
        else:
            y, rest = total >> shift, total % (1 << shift)
            y += 2 * rest > 1 << shift or (2 * rest == 1 << shift and y % 2)
        return max(i.least, min(self.greatest[row][o], y))

    def word(self, bank, address, unsigned):
        address %= 1 << self.config.activation_address_bits
        word = self.activations[bank][address]
        return [value % (1 << self.config.activation_bits) for value in word] if unsigned else word

    def column(self, digits, map_):
        """The one number of a column, from digits that may exceed their radix."""
        return digits[0] + map_.phases * (digits[1] + self.config.pixels * digits[2])

    def source(self, i, ob, oy, og, wy, wx, ky, kx, c, p):
        P, S = self.config.pixels, i.source.phases
        row = i.first_row + oy * i.output_row_step + wy * i.window_row_step + ky * i.kernel_row_step
        step, first = i.kernel_column_step, i.first
        x = self.column((first.phase, first.bank, first.group), i.source) + wx * i.window_phase_step
        x += (og * i.output_group_step + wx * i.window_group_step) * S * P
        x += kx * self.column((step.phase, step.bank, step.group), i.source) + p * S
        if not (0 <= row < i.rows and 0 <= x < i.columns * S + i.columns_remainder):
            return None
        address = i.source.address + ob * i.output_block_stride + oy * i.output_row_stride + wy * i.window_row_stride
        address += ky * i.kernel_row_stride + c * i.source.block_stride + x % S * i.source.phase_stride + x // S // P
        return self.word(x // S % P, address, i.source_unsigned)

    def residual(self, i, ob, oy, og, c, p):
        P, S, first = self.config.pixels, i.residual.phases, i.residual_first
        if og * P + p >= i.output_columns:
            return None
        x = self.column((first.phase, first.bank, first.group), i.residual) + (og * i.residual_group_step * P + p) * S
        address = i.residual.address + ob * i.residual_output_block_stride + oy * i.residual.row_stride
        address += c * i.residual.block_stride + x % S * i.residual.phase_stride + x // S // P
        return self.word(x // S % P, address, i.residual_unsigned)

    def target(self, i, ob, oy, og, p):
        D, S = self.config.drain_cycles, i.destination.phases
        steps = ((1, i.first_written), (og, i.group_step), (p // D, i.word_step), (p % D, i.pixel_step))
        x = sum(count * self.column((s.phase, s.bank, s.group), i.destination) for count, s in steps)
        address = i.destination.address + ob * i.destination.block_stride + oy * i.destination.row_stride
        address += x % S * i.destination.phase_stride + x // S // self.config.pixels
        return x // S % self.config.pixels, address % (1 << self.config.activation_address_bits)
