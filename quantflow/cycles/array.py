"""How long the compute unit takes for an instruction: its steps, and its pipelines' lengths."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """Cycles between the events of instructions, as `hdl.compute.ComputeUnit` defines them."""

    start: int  # from an instruction's being offered to its first step, where nothing runs
    done: int  # from its last step to the end that other units see
    overlap: int  # from the last step of the one before to its first, with `overlaps`
    wait: int  # the same without
    boundary: int  # from the last step of the one before to the last one of its own first group, at least
    switch: int  # the same where their operations differ

    @classmethod
    def of(cls, config):
        """The pipeline of a configuration; a test compares it with the gateware's own."""
        drain, adder_levels = config.drain_cycles, (config.lanes - 1).bit_length()
        mac = 2 + config.products_per_dsp + adder_levels
        writing = max(7, config.requantizers + 3)
        done = 9 + mac + drain + writing
        boundary = drain + config.requantizers + 2
        return cls(start=3, done=done, overlap=3, wait=done - 4, boundary=boundary, switch=boundary + mac - 2)


def compute_steps(compute):
    """Array steps of one group of P results."""
    kernel = compute.passes * compute.kernel_rows * compute.kernel_columns * compute.input_blocks
    return compute.residual_passes * compute.residual_blocks + kernel


def group_count(compute):
    """Groups of P results, each window position of a fused pooling counted."""
    groups = compute.output_blocks * compute.output_rows * compute.output_groups
    return groups * compute.window_rows * compute.window_columns


def compute_cycles(compute, config):
    """Cycles from an instruction's first step to its last, both included, if nothing holds it back."""
    steps = compute_steps(compute)
    return group_count(compute) * (steps if compute.partial else max(steps, config.drain_cycles))


def first_group_hold(compute, before, pipeline, gap):
    """Cycles by which an instruction's first group waits for the words of the one `before` to leave.

    `gap` are the cycles from the last step of the one before to its own first step.
    """
    if compute.partial or before.partial:
        return 0
    least = pipeline.boundary if compute.operation == before.operation else pipeline.switch
    return max(0, least - (gap + compute_steps(compute) - 1))
