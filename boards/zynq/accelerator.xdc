# Clock of the accelerator for synthesis out of context. The block design of build.tcl does not read
# this file: there the processing system's FCLK_CLK0 brings its own constraint.
create_clock -name clk -period $clock_ns [get_ports clk]
