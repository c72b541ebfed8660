"""Which machine a board is given: what machines take of an FPGA, how fast they run a network, the best that fits."""
