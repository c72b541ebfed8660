"""Step least-squares: the real-valued weights that suit the quantized input best, before they are rounded.

Minimises E[(V x - W x_float)^2] over V, the quantized input x being what the layer will read and W x_float
what it should give: V = W + E[W (x_float - x) x'] inv(H + damping). The damping draws V towards W.
"""

import numpy as np

DAMPING = 0.01  # of the mean of H's diagonal


def refit(weight, moments):
    """Weights float64 [O, K] refitted to the quantized input, from the float weights [O, K]."""
    damping = DAMPING * np.mean(np.diag(moments.second))
    if damping == 0:
        return weight
    damped = moments.second + damping * np.eye(len(moments.second))
    return weight + np.linalg.solve(damped, moments.cross.T).T
