"""What synthesis need not care about."""

# For the `attrs` of a Memory: what a read sees in the cycle of a write to its address may be anything. Block RAMs
# differ in it, and to promise the old word took twice the blocks on an ECP5 and iCE40, or a comparator and a
# multiplexer beside each. Yosys has this name for it; other tools pass over it. Simulation shows the old word.
UNCHECKED = {"no_rw_check": 1}
