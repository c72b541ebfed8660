"""The top module of a board: its pins, its PLL, its reset, and `system`."""

from boards.on_chip.pll import best_pll
from quantflow.errors import UserError

LEAST_BIT_CYCLES = 8  # of a serial bit, so that its middle is hit well enough
HELD_HIGH = "high"  # begins the names of pins that are held high, for other chips on the board
MOST_BAUD_ERROR = 0.02  # of ten bits, both sides together may miss the last one's middle by half a bit: 5 %


def achieved_mhz(board, clock_mhz=None):
    """The clock that the board's PLL makes where `clock_mhz` (or the board's own) is asked for: never a higher one."""
    asked = board.clock_mhz if clock_mhz is None else clock_mhz
    pll = best_pll(board.part.family, board.system.oscillator_mhz, asked)
    return pll.mhz if pll else float(board.system.oscillator_mhz)


def bit_cycles(board, clock_mhz):
    """Clock cycles of a serial bit at an achieved clock; UserError where the board's rate cannot be met."""
    baud = board.system.baud
    cycles = round(clock_mhz * 1e6 / baud)
    error = abs(cycles * baud / (clock_mhz * 1e6) - 1)
    if not LEAST_BIT_CYCLES <= cycles < 1 << 16 or error > MOST_BAUD_ERROR:
        raise UserError(
            f"{board.name}: a serial line of {baud} baud cannot be made of a clock of {clock_mhz:g} MHz: a bit takes "
            f"{LEAST_BIT_CYCLES} to 65535 whole cycles, and may be {MOST_BAUD_ERROR:.0%} wrong"
        )
    return cycles


def top_verilog(board, clock_mhz):
    """Verilog of the module `top` for the clock asked for; the PLL makes `achieved_mhz` of it.

    Raises UserError where no PLL setting makes such a clock, or the serial line cannot work with it.
    """
    facts = board.system
    pll = best_pll(board.part.family, facts.oscillator_mhz, clock_mhz)
    clock = achieved_mhz(board, clock_mhz)
    outputs = {"led_busy": "busy", "led_error": "failed"}
    ports = ["input wire clock", "input wire rx", "output wire tx"]
    ports += ["input wire reset"] if "reset" in facts.pins else []
    ports += [f"output wire {name}" for name in outputs if name in facts.pins]
    held = [name for name in facts.pins if name.startswith(HELD_HIGH)]
    ports += [f"output wire {name}" for name in held]
    inverted = "~" if facts.led_active_low else ""
    lines = [f"  assign {name} = {inverted}{signal};\n" for name, signal in outputs.items() if name in facts.pins]
    lines += [f"  assign {name} = 1'b1;\n" for name in held]
    pressed = ("~" if facts.reset_active_low else "") + "reset" if "reset" in facts.pins else "1'b0"
    listed = ",\n  ".join(ports)
    return f"""// {board.title}: {clock:g} MHz of an oscillator of {facts.oscillator_mhz:g} MHz.
module top(
  {listed}
);
  wire clk, locked, busy, failed;
{PRIMITIVES[board.part.family](pll) if pll else NO_PLL}
  // Released some cycles after the PLL has locked, and after the button.
  reg [1:0] held = 2'b11;
  reg [3:0] hold = 4'b1111;
  always @(posedge clk) begin
    held <= {{held[0], {pressed} | ~locked}};
    hold <= held[1] ? 4'b1111 : {{hold[2:0], 1'b0}};
  end

  reg [1:0] line = 2'b11;
  always @(posedge clk) line <= {{line[0], rx}};

  system system(
    .clk(clk), .rst(hold[3]), .rx(line[1]), .tx(tx), .busy(busy), .failed(failed),
    .bit_cycles(16'd{bit_cycles(board, clock)})
  );
{"".join(lines)}endmodule
"""


NO_PLL = """  assign clk = clock;
  assign locked = 1'b1;"""


def _ecp5(pll):
    # Attributes and phase as ecppll of Project Trellis sets them: the filter's for any clock, the phase so that the
    # output's edge is that of the input.
    return f"""  (* FREQUENCY_PIN_CLKI="{float(pll.oscillator):g}" *) (* FREQUENCY_PIN_CLKOP="{pll.mhz:.6g}" *)
  (* ICP_CURRENT="12" *) (* LPF_RESISTOR="8" *) (* MFG_ENABLE_FILTEROPAMP="1" *) (* MFG_GMCREF_SEL="2" *)
  EHXPLLL #(
    .PLLRST_ENA("DISABLED"), .INTFB_WAKE("DISABLED"), .STDBY_ENABLE("DISABLED"), .DPHASE_SOURCE("DISABLED"),
    .OUTDIVIDER_MUXA("DIVA"), .OUTDIVIDER_MUXB("DIVB"), .OUTDIVIDER_MUXC("DIVC"), .OUTDIVIDER_MUXD("DIVD"),
    .CLKI_DIV({pll.reference}), .CLKFB_DIV({pll.feedback}), .FEEDBK_PATH("CLKOP"),
    .CLKOP_ENABLE("ENABLED"), .CLKOP_DIV({pll.output}), .CLKOP_CPHASE({pll.output // 2}), .CLKOP_FPHASE(0)
  ) pll (
    .CLKI(clock), .CLKOP(clk), .CLKFB(clk), .LOCK(locked), .CLKINTFB(),
    .RST(1'b0), .STDBY(1'b0), .PLLWAKESYNC(1'b0), .ENCLKOP(1'b0),
    .PHASESEL0(1'b0), .PHASESEL1(1'b0), .PHASEDIR(1'b1), .PHASESTEP(1'b1), .PHASELOADREG(1'b1)
  );"""


# Upper ends in MHz of the detector's frequencies of iCE40's FILTER_RANGE 1 and up, as icepll of Project IceStorm has
# them.
_FILTER_ENDS = (17, 26, 44, 66, 101)


def _ice40(pll):
    filter_range = 1 + sum(pll.detector >= end for end in _FILTER_ENDS)
    return f"""  SB_PLL40_PAD #(
    .FEEDBACK_PATH("SIMPLE"), .DIVR(4'd{pll.reference - 1}), .DIVF(7'd{pll.feedback - 1}),
    .DIVQ(3'd{pll.output.bit_length() - 1}), .FILTER_RANGE(3'd{filter_range})
  ) pll (
    .PACKAGEPIN(clock), .PLLOUTGLOBAL(clk), .LOCK(locked), .RESETB(1'b1), .BYPASS(1'b0)
  );"""


def _gowin(pll):
    return f"""  rPLL #(
    .FCLKIN("{float(pll.oscillator):g}"), .DEVICE("GW2AR-18C"),
    .IDIV_SEL({pll.reference - 1}), .FBDIV_SEL({pll.feedback - 1}), .ODIV_SEL({pll.output}),
    .DYN_IDIV_SEL("false"), .DYN_FBDIV_SEL("false"), .DYN_ODIV_SEL("false"), .DYN_SDIV_SEL(2), .DYN_DA_EN("false"),
    .PSDA_SEL("0000"), .DUTYDA_SEL("1000"), .CLKFB_SEL("internal"),
    .CLKOUT_BYPASS("false"), .CLKOUTP_BYPASS("false"), .CLKOUTD_BYPASS("false"),
    .CLKOUT_FT_DIR(1'b1), .CLKOUTP_FT_DIR(1'b1), .CLKOUT_DLY_STEP(0), .CLKOUTP_DLY_STEP(0),
    .CLKOUTD_SRC("CLKOUT"), .CLKOUTD3_SRC("CLKOUT")
  ) pll (
    .CLKIN(clock), .CLKOUT(clk), .LOCK(locked), .CLKOUTP(), .CLKOUTD(), .CLKOUTD3(),
    .CLKFB(1'b0), .RESET(1'b0), .RESET_P(1'b0),
    .FBDSEL(6'b0), .IDSEL(6'b0), .ODSEL(6'b0), .PSDA(4'b0), .DUTYDA(4'b0), .FDLY(4'b0)
  );"""


PRIMITIVES = {"ecp5": _ecp5, "ice40": _ice40, "gowin": _gowin}
