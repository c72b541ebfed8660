"""Converters of pooling: over windows, over the whole map, and means over height and width."""

from quantflow.graph import AveragePool, MaxPool, Window
from quantflow.importer.nodes import Refusal, shown, with_batch
from quantflow.importer.window import check_taps, draft_window


def max_pool(site):
    """MaxPool: two-dimensional, padding smaller than the kernel."""
    site.check_inputs(1, 1)
    site.node.attributes.only("storage_order", site.node.attributes.integer("storage_order", 0), 0)
    window, output, _ = _pooling(site)
    return site.layer(MaxPool, output, window=window), output


def average_pool(site):
    """AveragePool: padding smaller than the kernel, counted or not."""
    site.check_inputs(1, 1)
    counted = site.node.attributes.integer("count_include_pad", 0)
    if counted not in (0, 1):
        raise Refusal(f"has count_include_pad {counted}; 0 or 1 is expected")
    window, output, added = _pooling(site)
    if counted and added:
        raise Refusal("has ceil_mode 1 and count_include_pad 1, with a last window that ceil_mode alone makes room for")
    include = bool(counted) and any(window.padding)
    return site.layer(AveragePool, output, window=window, count_include_pad=include), output


def _pooling(site):
    """The Window, the output's shape, and whether ceil_mode added padding to what the file has."""
    attributes = site.node.attributes
    kernel = attributes.integers("kernel_shape", 2, None, 1)
    if kernel is None:
        raise Refusal("has no kernel_shape, which must be given")
    draft = draft_window(attributes, kernel, pools=True)
    attributes.finish()
    top, left, bottom, right = draft.padding
    if max(top, bottom) >= kernel[0] or max(left, right) >= kernel[1]:
        raise Refusal(f"has pads {shown(draft.padding)}, as large as its kernel of {shown(kernel)}")
    shape = site.map_shape()
    window, sizes = draft.place(shape)
    check_taps(window, shape)
    return window, (shape[0], *sizes), bool(draft.ceil_mode) and window.padding != draft.padding


def global_average_pool(site):
    """GlobalAveragePool: an average over a window that covers the map."""
    return _global(site, AveragePool)


def global_max_pool(site):
    """GlobalMaxPool: a maximum over a window that covers the map."""
    return _global(site, MaxPool)


def _global(site, kind):
    site.check_inputs(1, 1)
    site.node.attributes.finish()
    shape = site.map_shape()
    output = (shape[0], 1, 1)
    return site.layer(kind, output, window=Window(kernel=shape[1:])), output


def reduce_mean(site):
    """ReduceMean over height and width."""
    attributes = site.node.attributes
    site.check_inputs(1, 2 if site.opset >= 18 else 1)
    axes = site.integer_list("axes", 1, since=18)
    keep = attributes.integer("keepdims", 1)
    attributes.integer("noop_with_empty_axes", 0)  # the axes are neither empty nor left out
    attributes.finish()
    shape = site.map_shape()
    if axes is None or sorted(axis % 4 if -4 <= axis < 4 else axis for axis in axes) != [2, 3]:
        given = "no axes" if axes is None else f"axes {shown(axes)}"
        raise Refusal(f"has {given} for {with_batch(shape)}; only the mean over height and width is supported")
    output = (shape[0], 1, 1) if keep else (shape[0],)
    return site.layer(AveragePool, output, window=Window(kernel=shape[1:])), output
