"""The pass that lets residual connections enter the sums of a convolution."""

from dataclasses import replace

from quantflow.graph import Add, Convolution
from quantflow.importer.rewriter import Rewriter


def fuse_residuals(draft):
    """The addition of a map to a convolution's output enters the convolution's sums.

    So its output is not rounded before. Of two convolutions the one that does more work takes the other's
    map in, and is computed behind it.
    """
    rewriter = Rewriter(draft)
    for step in rewriter.steps():
        index = _residual_host(rewriter, step) if isinstance(step, Add) else None
        if index is None:
            rewriter.keep(step)
            continue
        host = rewriter.sole_source(step, index)
        inputs = (*host.inputs, step.inputs[1 - index])
        rewriter.delay(replace(host, inputs=inputs, relu=step.relu, maximum=step.maximum))
        rewriter.drop(step, f"folded into {host.name}", index)
    return rewriter.draft()


def _residual_host(rewriter, add):
    """Which of an addition's inputs is a convolution that can take the other one in; None if neither is."""
    hosts = {index: rewriter.sole_source(add, index) for index in (0, 1)}
    free = {
        index: host.macs
        for index, host in hosts.items()
        if isinstance(host, Convolution) and not host.relu and len(host.inputs) == 1
    }
    return max(free, key=free.get, default=None)
