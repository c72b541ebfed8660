"""What stands around the accelerator on a board without DRAM: memory in block RAM and a serial link to the host."""
