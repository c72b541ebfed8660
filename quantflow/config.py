"""The machine's one documented configuration, shared by compiler, emulator and gateware."""

from dataclasses import asdict, dataclass

from quantflow.accumulation import MAX_LEFT_SHIFT
from quantflow.arithmetic import MAX_BITS, MIN_BITS

COLUMN_STEP_BITS = 4  # of a machine without phases; others put a step of k columns into k phases
WEIGHT_WIDTHS = (2, 4, 8, 16)  # element widths that exist, in bits
MOST_TRANSFER_BITS = 24  # of the number of beats of a load or store
REGISTER_BITS = 32  # of the control port
MULTIPLIER_BITS = 25  # the wider operand of a DSP48E1's multiplier, which may hold two weights


def _container_bits(bits):
    """Width that an integer of `bits` bits takes in memory: the next power of two."""
    return 1 << (bits - 1).bit_length()


@dataclass(frozen=True, kw_only=True)
class Config:
    """Parameters of one accelerator; properties are what follows from them.

    The array multiplies `pixels * lanes * lanes` operand pairs per cycle. An activation word is
    one pixel's `lanes` channels; a weight word is what the array needs for one step. Raises
    ValueError, naming the parameter, the rule and the value given.
    """

    pixels: int  # P, output pixels per step; any number
    lanes: int  # I = O, input and output channels per step; a power of two
    requantizers: int = 1  # R, activation words requantized and written per cycle
    activation_bits: int = 8
    weight_bits: int = 8
    products_per_dsp: int = 1  # 1 or 2; two output channels' products in one 25 x 18 multiplier
    accumulator_bits: int = 32
    port_bits: int = 64  # data width of one AXI4 memory port
    memory_address_bits: int = 32  # of addresses, bases and lengths in memory and on the bus
    ports: int = 1  # AXI4 memory ports, 1, 2 or 4, that carry one beat of ports * port_bits together
    activation_depth: int = 2048  # words in each of the P activation banks
    weight_depth: int = 1024  # weight words
    parameter_depth: int = 64  # parameter words: biases and shifts of `lanes` channels
    overlap: bool = True  # instructions run beside one another, from copies of their own; or, to save cells, in turn
    queue_depth: int = 8  # instructions waiting in front of each unit, where they overlap
    burst_beats: int = 64  # longest AXI4 burst
    outstanding_bursts: int = 4  # read bursts under way at once
    waiting_beats: int = 16  # beats that may wait at each port, and that one port may be ahead of another
    extent_bits: int = 10  # rows, columns, channel blocks and kernel sizes are below 2**extent_bits
    phase_bits: int = 3  # a scratchpad layout has below 2**phase_bits column phases; 0: one, where pixels is 1
    residuals: bool = True  # a second map may enter a layer's sums, or, to save cells, none
    watchdog_cycles: int = 1 << 16  # cycles without progress before the machine stops itself
    counters: bool = True  # settings can be read and all is counted; or, to save cells, CYCLES and COMPUTE_STEPS alone
    profile_depth: int = 256  # compute instructions of a run whose retirements are recorded; 0: none are

    def __post_init__(self):
        positive = ("pixels", "activation_depth", "weight_depth", "parameter_depth", "queue_depth")
        for name in positive + ("outstanding_bursts", "watchdog_cycles"):
            self._check(name, getattr(self, name) >= 1, "at least 1")
        self._check("lanes", self.lanes >= 2 and _is_power_of_two(self.lanes), "a power of two, at least 2")
        self._check("requantizers", 1 <= self.requantizers <= self.pixels, f"1 to pixels ({self.pixels})")
        for name in ("activation_bits", "weight_bits"):
            self._check(name, MIN_BITS <= getattr(self, name) <= MAX_BITS, f"{MIN_BITS} to {MAX_BITS}")
        self._check_products_per_dsp()
        least = self.activation_bits + self.weight_bits
        self._check("accumulator_bits", least <= self.accumulator_bits <= 48, f"{least} to 48")
        self._check("port_bits", self.port_bits in (32, 64, 128, 256), "32, 64, 128 or 256")
        self._check("memory_address_bits", 16 <= self.memory_address_bits <= 32, "16 to 32")
        self._check("ports", self.ports in (1, 2, 4), "1, 2 or 4")
        widest = self.lanes**2 * WEIGHT_WIDTHS[-1]
        if self.beat_bits > widest:
            raise ValueError(
                f"ports * port_bits is at most {widest}, which is a weight word of {WEIGHT_WIDTHS[-1]}-bit elements, "
                f"not {self.beat_bits}"
            )
        self._check("burst_beats", self.burst_beats in (16, 32, 64, 128, 256), "16, 32, 64, 128 or 256")
        self._check("profile_depth", self.profile_depth == 0 or self.profile_depth >= 2, "0 or at least 2")
        self._check("waiting_beats", self.waiting_beats >= 1, "at least 1")
        self._check("extent_bits", 4 <= self.extent_bits <= 14, "4 to 14")
        least, rule = (0, "0 to 4") if self.pixels == 1 else (1, "1 to 4, or 0 where pixels is 1")
        self._check("phase_bits", least <= self.phase_bits <= 4, rule)

    def _check(self, name, legal, rule):
        if not legal:
            raise ValueError(f"{name} is {rule}, not {getattr(self, name)}")

    def _check_products_per_dsp(self):
        self._check("products_per_dsp", self.products_per_dsp in (1, 2), "1 or 2")
        bits = self.packed_weight_bits - 1
        if self.products_per_dsp == 2 and bits >= MULTIPLIER_BITS:
            raise ValueError(
                "products_per_dsp is 1 where activation_bits + 2 * weight_bits is above "
                f"{MULTIPLIER_BITS - 1} (here {bits}): the two weights take one bit more than that in a "
                f"multiplier of {MULTIPLIER_BITS} bits"
            )

    def to_json(self):
        return asdict(self)

    # Array

    @property
    def multipliers(self):
        return self.pixels * self.lanes * self.lanes

    @property
    def several_pixels(self):
        """Whether words of several pixels leave a group, so that there are steps from one to the next."""
        return self.pixels > 1

    @property
    def drain_cycles(self):
        """D, cycles that the requantizer takes for one group of P pixels: ceil(P / R)."""
        return -(-self.pixels // self.requantizers)

    # Memory words

    @property
    def port_bytes(self):
        """Bytes that one AXI4 port carries per cycle."""
        return self.port_bits // 8

    @property
    def beat_bits(self):
        """Bits of a beat of all ports together: the unit in which everything but the bus counts memory."""
        return self.ports * self.port_bits

    @property
    def beat_bytes(self):
        return self.beat_bits // 8

    @property
    def transfer_beats_bits(self):
        """Bits of the number of beats that a load or store moves."""
        return min(MOST_TRANSFER_BITS, self.memory_address_bits - (self.beat_bytes - 1).bit_length())

    @property
    def region_size_bits(self):
        """Bits of a region's size in bytes: a region may be all of the memory, if it has less than 4 GB."""
        return min(REGISTER_BITS, self.memory_address_bits + 1)

    @property
    def activation_container_bits(self):
        return _container_bits(self.activation_bits)

    @property
    def activation_word_bits(self):
        """Bits of one activation word in memory."""
        return self.lanes * self.activation_container_bits

    @property
    def bank_row_beats(self):
        """Beats of one address of all P activation banks in memory, the last one filled up."""
        return -(-self.pixels * self.activation_word_bits // self.beat_bits)

    @property
    def bank_row_bytes(self):
        return self.bank_row_beats * self.beat_bytes

    @property
    def weight_widths(self):
        """Element widths in which weights may lie in memory, in bits.

        One weight word takes at least one beat at each of them, so that no beat brings more than
        one; a small array on a wide memory may need elements wider than its weights for that.
        """
        widths = [width for width in WEIGHT_WIDTHS if self.weight_word_beats(width) >= 1]
        widest = max(_container_bits(self.weight_bits), widths[0])
        return tuple(width for width in widths if width <= widest)

    def weight_word_beats(self, width):
        """Beats of one weight word whose elements lie in memory at `width` bits."""
        return self.lanes * self.lanes * width // self.beat_bits

    @property
    def shift_bits(self):
        """Bits of a channel's shift, which lies MAX_LEFT_SHIFT higher than it is, so that none is negative."""
        return (self.accumulator_bits - 1 + MAX_LEFT_SHIFT).bit_length()

    @property
    def parameter_word_beats(self):
        """Beats of `lanes` records (bias, shift, greatest result), packed without gaps."""
        return -(-self.lanes * self.parameter_record_bits // self.beat_bits)

    @property
    def parameter_record_bits(self):
        """Bits of one channel's bias, shift and greatest result."""
        return self.accumulator_bits + self.shift_bits + self.activation_bits

    @property
    def operand_bits(self):
        """Bits of an activation as the array sees it: one more, so that unsigned ones are not negative."""
        return self.activation_bits + 1

    @property
    def packed_weight_bits(self):
        """Bits of two weights in one operand: with products_per_dsp = 2 a multiplier is at least that wide."""
        return self.activation_bits + 2 * self.weight_bits + 1

    @property
    def pass_shift(self):
        """Bits of a digit of weights that are computed in several passes: no digit but the first has a sign."""
        return self.weight_bits - 1

    # Addresses. An activation address has one bit more than the depth needs, so that sums of
    # strides that leave the scratchpad are seen instead of wrapping into it.

    @property
    def activation_address_bits(self):
        return (self.activation_depth - 1).bit_length() + 1

    @property
    def word_address_bits(self):
        """Bits of a load's or store's scratchpad address: of the widest of the three."""
        return max(self.activation_address_bits, self.weight_address_bits, self.parameter_address_bits)

    @property
    def weight_address_bits(self):
        return self.weight_depth.bit_length()

    @property
    def parameter_address_bits(self):
        return self.parameter_depth.bit_length()

    @property
    def bank_bits(self):
        return (self.pixels - 1).bit_length()

    # Columns. With one bank a column is a group, and any step between columns a number of groups. With several, only
    # the phases of a layout bring the pixels of a step into different banks.

    @property
    def column_step_bits(self):
        """Bits of an instruction's steps in groups, where there are no phases to step over columns."""
        return 0 if self.phase_bits else COLUMN_STEP_BITS

    @property
    def most_column_step(self):
        """Most columns from a result's operands to its neighbour's: phases of a layout, or a step in groups."""
        return (1 << (self.phase_bits or self.column_step_bits)) - 1


def _is_power_of_two(value):
    return value & (value - 1) == 0
