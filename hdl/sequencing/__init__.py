"""Loop nests, strides and column positions: which word a step reads or writes."""
