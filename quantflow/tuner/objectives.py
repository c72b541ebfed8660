"""What a fractional length is chosen for, where only the numbers themselves are looked at."""

MAXIMUM = "max"  # NonOverflow: the largest fl at which no value overflows
ABSOLUTE = "absolute"  # least sum |x - x(bits, fl)|: Qiu et al., FPGA 2016
SQUARED = "squared"  # MinMSE: least sum (x - x(bits, fl))^2

POWER = {ABSOLUTE: 1, SQUARED: 2}  # of the differences that are summed
# Around the largest fl without overflow. Qiu et al. look in a neighbourhood of it, and give no numbers: with these the
# method does what is known of it on ResNets and MobileNet (58.9 % agreement of ResNet-20 at 4 bits).
BELOW, WEIGHTS_ABOVE, MAPS_ABOVE = 1, 2, 3
