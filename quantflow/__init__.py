"""From a trained CNN to a fixed-point network, a Verilog accelerator and a proof in simulation.

For notebooks, `from quantflow import load, tune, simulate`: see `quantflow/notebook.py`.
"""

__all__ = ["load", "simulate", "tune"]


def __getattr__(name):
    # Not before it is asked for, so that readers of a tuned network, or of one number, need no importer.
    if name in __all__:
        from quantflow import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module 'quantflow' has no attribute {name!r}")
