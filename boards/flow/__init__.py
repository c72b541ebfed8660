"""The open tools' way from Verilog to a bitstream: `boards.flow.build` for the whole, a file for each step."""
