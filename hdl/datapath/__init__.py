"""The arithmetic, in the order the data take: multiply, accumulate, drain, requantize, pool."""
