"""Two products in each multiplier."""

from amaranth import Cat, Module, Signal, signed

from hdl.datapath.multiplier_array import MultiplierArray
from hdl.layouts import Vector, product_bits


class PackedMultipliers(MultiplierArray):
    """P * O * I products of P * O / 2 * I multipliers: two output channels share an activation.

        packed = (w1 << k) + w0                          once for all pixels, k = product_bits
        packed * x + (1 << (k - 1)) = (w1 * x << k) + (w0 * x + (1 << (k - 1)))

    Every product takes k bits. Half their range, added to the lower one, makes it a number without
    a sign, so that it borrows nothing from the upper one; turning its highest bit takes the half
    away again. On a DSP48E1 the addition is in the slice, and so are the three registers: operands
    of 25 and 18 bits, product, sum. Config.products_per_dsp says which formats fit.

    The idea is that of Xilinx, "Deep Learning with INT8 Optimization", WP486, with a 27 x 18 one.
    """

    latency = 3

    def elaborate(self, platform):
        m = Module()
        config, bits = self.config, product_bits(self.config)
        lanes, pairs = range(config.lanes), range(config.lanes // 2)
        sum_rows = Vector(Vector(signed(2 * bits), config.lanes), config.pixels * len(pairs))
        activations = Signal.like(self.activations, name="registered_activations", reset_less=True)
        packed = Signal(
            Vector(Vector(signed(bits + config.weight_bits + 1), config.lanes), len(pairs)), reset_less=True
        )
        multiplied = Signal(sum_rows, reset_less=True)
        sums = Signal(sum_rows, reset_less=True)
        # One assignment for all: much less Verilog than one per product.
        products = (activations[p][i] * packed[n][i] for p in range(config.pixels) for n in pairs for i in lanes)
        m.d.sync += [
            activations.eq(self.activations),
            packed.eq(
                Cat(self._pack(self.weights[2 * n][i], self.weights[2 * n + 1][i]) for n in pairs for i in lanes)
            ),
            multiplied.eq(Cat(product[: 2 * bits] for product in products)),
            sums.eq(Cat((value + (1 << (bits - 1)))[: 2 * bits] for row in multiplied for value in row)),
        ]
        halves = (self._lower, self._upper)
        m.d.comb += self.products.eq(Cat(half(value) for row in sums for half in halves for value in row))
        return m

    def _pack(self, lower, upper):
        """`(upper << k) + lower`, added no further down than it has to be.

        A sum of all bits would be taken for the slice's own adder by Yosys, which then leaves all
        but one of the slices that share it without operands.
        """
        sign = lower[-1]
        return Cat(lower, sign.replicate(product_bits(self.config) - len(lower)), upper + sign.as_signed())

    def _lower(self, sum_):
        sign = product_bits(self.config) - 1
        return Cat(sum_[:sign], ~sum_[sign])

    def _upper(self, sum_):
        return sum_[product_bits(self.config) :]
