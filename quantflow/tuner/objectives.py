"""What a fractional length is chosen for, where only the numbers themselves are looked at."""

MAXIMUM = "max"  # NonOverflow: the largest fl at which no value overflows
ABSOLUTE = "absolute"  # least sum |x - x(bits, fl)|: Qiu et al., FPGA 2016
SQUARED = "squared"  # MinMSE: least sum (x - x(bits, fl))^2

POWER = {ABSOLUTE: 1, SQUARED: 2}  # of the differences that are summed
