"""Two products in each multiplier."""

from amaranth import Cat, Const, Module, Signal, signed

from hdl.datapath.multiplier_array import MultiplierArray
from hdl.layouts import Vector, product_bits


class PackedMultipliers(MultiplierArray):
    """P * O * I products of P * O / 2 * I multipliers: two output channels share an activation.

        packed = (w1 << k) + w0                          once for all pixels, k = product_bits
        packed * x + (1 << (k - 1)) = (w1 * x << k) + (w0 * x + (1 << (k - 1)))

    Every product takes k bits. Half their range, added to the lower one, makes it a number without
    a sign, so that it borrows nothing from the upper one; turning its highest bit takes the half
    away again. On a DSP48E1 the addition is in the slice, and so are the three registers: operands
    of 25 and 18 bits, product, sum. Config.products_per_dsp says which formats fit. An ECP5's multiplier, of 18 and 18
    bits, has room for activations of 8 bits and weights of 4.

    The idea is that of Xilinx, "Deep Learning with INT8 Optimization", WP486, with a 27 x 18 one.
    """

    latency = 3

    def elaborate(self, platform):
        m = Module()
        config, bits = self.config, product_bits(self.config)
        lanes, pairs = range(config.lanes), range(config.lanes // 2)
        weights = Vector(Vector(signed(config.packed_weight_bits), config.lanes), len(pairs))
        rows = Vector(Vector(signed(2 * bits), config.lanes), config.pixels * len(pairs))
        activations = Signal.like(self.activations, name="registered_activations", reset_less=True)
        packed = Signal(weights, reset_less=True)
        multiplied = Signal(rows, reset_less=True)
        sums = Signal(rows, reset_less=True)
        # One assignment for all: much less Verilog than one per product.
        products = (activations[p][i] * packed[n][i] for p in range(config.pixels) for n in pairs for i in lanes)
        half = 1 << (bits - 1)
        m.d.sync += [
            activations.eq(self.activations),
            packed.eq(Cat(self._pack(*self.weights[2 * n : 2 * n + 2], i) for n in pairs for i in lanes)),
            multiplied.eq(Cat(product[: 2 * bits] for product in products)),
            sums.eq(Cat((value + half)[: 2 * bits] for row in multiplied for value in row)),
        ]
        places = (slice(0, bits), slice(bits, 2 * bits))  # of the lower and of the upper product
        split = Cat(value[place] for row in sums for place in places for value in row)
        turned = self.products.shape().const([[-half] * config.lanes, [0] * config.lanes] * len(sums))
        m.d.comb += self.products.eq(split ^ Const.cast(turned))
        return m

    def _pack(self, lower, upper, i):
        """`(upper[i] << k) + lower[i]`, added no further down than it has to be.

        A sum of all bits would be taken for the slice's own adder by Yosys, which then leaves all
        but one of the slices that share it without operands.
        """
        sign = lower[i][-1]
        return Cat(lower[i], sign.replicate(product_bits(self.config) - len(lower[i])), upper[i] + sign.as_signed())
