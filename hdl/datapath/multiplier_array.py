"""The array's multipliers."""

from amaranth import Cat, Module, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hdl.layouts import Vector, operand_word, product_bits, weight_word


class MultiplierArray(wiring.Component):
    """P * O * I multipliers, each between registers.

        products[p * O + o][i] = activations[p][i] * weights[o][i], `latency` cycles later

    Operands and products are registered and signed, so that synthesis maps each product to one
    DSP slice with its own registers. It takes new operands in every cycle and knows no valid bit.
    A subclass may do the same in another way, with a latency of its own.
    """

    latency = 2

    def __init__(self, config):
        self.config = config
        product = signed(product_bits(config))
        super().__init__({
            "activations": In(Vector(operand_word(config), config.pixels)),
            "weights": In(weight_word(config)),
            "products": Out(Vector(Vector(product, config.lanes), config.pixels * config.lanes)),
        })

    def elaborate(self, platform):
        m = Module()
        activations = Signal.like(self.activations, name="registered_activations", reset_less=True)
        weights = Signal.like(self.weights, name="registered_weights", reset_less=True)
        products = Signal.like(self.products, name="registered_products", reset_less=True)
        bits, lanes = product_bits(self.config), range(self.config.lanes)
        m.d.sync += [
            activations.eq(self.activations),
            weights.eq(self.weights),
            # One signal and one assignment: much less Verilog than one per product.
            products.eq(
                Cat(
                    (activations[pixel][i] * weights[out][i])[:bits]
                    for pixel in range(self.config.pixels)
                    for out in lanes
                    for i in lanes
                )
            ),
        ]
        m.d.comb += self.products.eq(products)
        return m
