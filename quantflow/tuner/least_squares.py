"""Step least-squares: the real-valued weights that suit the quantized input best, before they are rounded.

Minimises E[(V x - W x_float - r)^2] over V, the quantized input x being what the layer will read, W x_float
what it should give, and r what a residual map lacks: V = W + E[d x'] inv(H + damping), with
d = W (x_float - x) + r. The damping draws V towards W.
"""

import numpy as np

DAMPING = 0.1  # of the mean of H's diagonal


def refit(weight, moments):
    """Weights float64 [G, R, K] refitted to the quantized input, from the float weights [G, R, K]."""
    return weight + np.linalg.solve(damped(moments.second), moments.cross.swapaxes(1, 2)).swapaxes(1, 2)


def damped(second):
    """H [G, K, K] made invertible; where no input is ever set H is 0, and 1 takes its place."""
    width = second.shape[-1]
    damping = DAMPING * np.trace(second, axis1=1, axis2=2) / width
    return second + np.where(damping > 0, damping, 1)[:, None, None] * np.eye(width)
