"""Converters of what moves values without computing: reshapes, slices, padding, concatenation."""

import math

from onnx import TensorProto

from quantflow.graph import Concat, Pad, Slice
from quantflow.importer.nodes import Refusal, shown, with_batch
from quantflow.importer.site import check_size
from quantflow.importer.steps import Flattening, Passage


def _reshaped(site, target_of, words):
    """A step that reads the values in their order as another shape, [N, C, H, W] or [N, F].

    `target_of([N, ...])` is the new shape, None if there is none. Without a fixed batch several sizes show
    whether the new shape follows the batch: a fixed number in its place can equal only one of them.
    """
    shape = site.known_shape()
    targets = [target_of([batch, *shape]) for batch in site.batches]
    output = tuple((targets[0] or [])[1:])
    kept = targets == [[batch, *output] for batch in site.batches]
    if kept and len(output) in (1, 3) and min(output) > 0 and math.prod(output) == math.prod(shape):
        return site.layer(Passage if output == shape else Flattening, output), output
    flat = (math.prod(shape),)
    raise Refusal(f"{words} of {with_batch(shape)}; only flattening to {with_batch(flat)} is supported")


def flatten(site):
    """Flatten of all but the batch."""
    site.check_inputs(1, 1)
    axis = site.node.attributes.integer("axis", 1)
    site.node.attributes.finish()

    def target_of(shape):
        if not -len(shape) <= axis <= len(shape):
            return None
        split = axis + len(shape) if axis < 0 else axis
        return [math.prod(shape[:split]), math.prod(shape[split:])]

    return _reshaped(site, target_of, f"has axis {axis}, a flattening")


def reshape(site):
    """Reshape to a constant shape, or one computed from shapes, that keeps the batch."""
    site.check_inputs(2, 2)
    allow_zero = site.node.attributes.integer("allowzero", 0)
    site.node.attributes.finish()
    targets = site.variants(1, "shape", TensorProto.INT64)
    for target in targets:
        if target.ndim != 1:
            raise Refusal(f"has a shape that is itself of shape {shown(target.shape)}; a list is expected")
    targets = dict(zip(site.batches, (target.tolist() for target in targets), strict=True))

    def target_of(shape):
        sizes = list(targets[shape[0]])
        for index, size in enumerate(sizes):
            if size == 0 and not allow_zero and index < len(shape):
                sizes[index] = shape[index]
        known = math.prod(size for size in sizes if size != -1)
        if sizes.count(-1) == 1 and known > 0 and math.prod(shape) % known == 0:
            sizes[sizes.index(-1)] = math.prod(shape) // known
        return sizes

    return _reshaped(site, target_of, f"has the target shape {shown(targets[site.batches[0]])} for a value")


def squeeze(site):
    """Squeeze of named axes of size 1."""
    site.check_inputs(1, 2 if site.opset >= 13 else 1)
    axes = site.integer_list("axes", 1, since=13)
    site.node.attributes.finish()
    if axes is None:
        raise Refusal("has no axes; which ones it removes would depend on the number of images")

    def target_of(shape):
        gone = {axis % len(shape) for axis in axes if -len(shape) <= axis < len(shape)}
        if len(gone) != len(axes) or 0 in gone or any(shape[axis] != 1 for axis in gone):
            return None
        return [size for axis, size in enumerate(shape) if axis not in gone]

    return _reshaped(site, target_of, f"has the axes {shown(axes)}, a squeezing")


def unsqueeze(site):
    """Unsqueeze: axes of size 1 put in."""
    site.check_inputs(1, 2 if site.opset >= 13 else 1)
    axes = site.integer_list("axes", 1, since=13)
    site.node.attributes.finish()
    if axes is None:
        raise Refusal("has no axes, which must be given")

    def target_of(shape):
        rank = len(shape) + len(axes)
        new = {axis % rank for axis in axes if -rank <= axis < rank}
        if len(new) != len(axes) or rank > 8:
            return None
        sizes = iter(shape)
        return [1 if axis in new else next(sizes) for axis in range(rank)]

    return _reshaped(site, target_of, f"has the axes {shown(axes)}, an unsqueezing")


def transpose(site):
    """Transpose that moves only axes of size 1, so that the values keep their order."""
    site.check_inputs(1, 1)
    shape = site.known_shape()
    order = site.node.attributes.integers("perm", 1 + len(shape), tuple(range(len(shape), -1, -1)), 0)
    site.node.attributes.finish()
    if sorted(order) != list(range(1 + len(shape))):
        raise Refusal(f"has perm {shown(order)}, which is no order of the axes of {with_batch(shape)}")
    moved = [axis for axis in order if axis == 0 or shape[axis - 1] != 1]
    if order[0] != 0 or moved != sorted(moved):
        raise Refusal(f"has perm {shown(order)}, which changes the order of the values of {with_batch(shape)}")
    output = tuple(shape[axis - 1] for axis in order[1:])
    return site.layer(Passage if output == shape else Flattening, output), output


def identity(site):
    """Identity."""
    site.check_inputs(1, 1)
    site.node.attributes.finish()
    shape = site.known_shape()
    return site.layer(Passage, shape), shape


def dropout(site):
    """Dropout, which does nothing in inference."""
    site.check_inputs(1, 3)
    site.node.attributes.ignore("ratio", "seed")
    site.node.attributes.finish()
    if site.node.input(2) and site.constant(2, "training_mode", TensorProto.BOOL).any():
        raise Refusal("has training_mode true; only inference is supported")
    shape = site.known_shape()
    return site.layer(Passage, shape), shape


def concat(site):
    """Concat of computed maps along the channels."""
    attributes = site.node.attributes
    site.check_inputs(1, 1 << 16)
    axis = attributes.integer("axis", None)
    attributes.finish()
    if axis is None:
        raise Refusal("has no axis, which must be given")
    count = len(site.node.inputs)
    shapes = [site.known_shape(index) for index in range(count)]
    rank = 1 + len(shapes[0])
    if axis not in (1, 1 - rank):
        raise Refusal(f"has axis {axis} for {with_batch(shapes[0])}; only the channels are joined")
    for shape in shapes:
        if shape[1:] != shapes[0][1:] or len(shape) != len(shapes[0]):
            raise Refusal(f"joins {with_batch(shapes[0])} and {with_batch(shape)}; only channels may differ")
    output = (sum(shape[0] for shape in shapes), *shapes[0][1:])
    return site.layer(Concat, output, reads=tuple(range(count))), output


def slice_(site):
    """Slice of channels, rows and columns with steps of at least 1."""
    if site.opset < 10:
        site.check_inputs(1, 1)
    else:
        site.check_inputs(3, 5)
    starts = site.integer_list("starts", 1, since=10)
    ends = site.integer_list("ends", 2, since=10)
    axes = site.integer_list("axes", 3, since=10)
    steps = site.integer_list("steps", 4, since=10) if site.opset >= 10 else None
    site.node.attributes.finish()
    shape = site.known_shape()
    if starts is None or ends is None:
        raise Refusal("lacks its starts or ends")
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = (1,) * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        raise Refusal("has starts, ends, axes and steps of different lengths")
    rank, ranges = 1 + len(shape), {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if not -rank <= axis < rank or axis % rank in ranges:
            raise Refusal(f"has axes {shown(axes)} for {with_batch(shape)}")
        if step < 1:
            raise Refusal(f"has steps {shown(steps)}; only steps of at least 1 are supported")
        if axis % rank == 0:
            for batch in site.batches:
                if (start, step) != (0, 1) or end < max(batch, 1 << 31 if site.batch is None else 0):
                    raise Refusal("cuts the batch; only channels, rows and columns are cut")
        ranges[axis % rank] = range(*slice(start, end, step).indices((1, *shape)[axis % rank]))
    ranges = [ranges.get(1 + axis, range(size)) for axis, size in enumerate(shape)]
    output = tuple(map(len, ranges))
    if 0 in output:
        raise Refusal(f"leaves nothing of {with_batch(shape)}")
    if output == shape:
        return site.layer(Passage, shape), shape
    start = tuple(each.start for each in ranges)
    step = tuple(each.step if len(each) > 1 else 1 for each in ranges)
    rest = (0,) * (3 - len(shape))
    return site.layer(Slice, output, start=start + rest, step=step + (1,) * len(rest)), output


def split(site):
    """One part of a Split of channels, rows or columns."""
    attributes = site.node.attributes
    site.check_inputs(1, 2 if site.opset >= 13 else 1)
    axis = attributes.integer("axis", 0)
    index, count = site.node.part
    attributes.only("num_outputs", attributes.integer("num_outputs", count), count)
    sizes = site.integer_list("split", 1, since=13)
    attributes.finish()
    shape = site.known_shape()
    rank = 1 + len(shape)
    if not -rank <= axis < rank or axis % rank == 0:
        raise Refusal(f"has axis {axis} for {with_batch(shape)}; only channels, rows and columns are split")
    dimension = axis % rank - 1
    if sizes is None:
        each = -(-shape[dimension] // count)  # the last part may be smaller
        sizes = (each,) * (count - 1) + (shape[dimension] - each * (count - 1),)
    if len(sizes) != count or sum(sizes) != shape[dimension] or min(sizes) < 1:
        raise Refusal(f"has parts of {shown(sizes)} for {count} outputs and {with_batch(shape)}")
    start, output = [0, 0, 0], list(shape)
    start[dimension], output[dimension] = sum(sizes[:index]), sizes[index]
    if count == 1:
        return site.layer(Passage, shape), shape
    return site.layer(Slice, tuple(output), start=tuple(start)), tuple(output)


def pad(site):
    """Pad of channels, rows and columns by a constant."""
    attributes = site.node.attributes
    site.check_inputs(1, 4 if site.opset >= 11 else 1)
    mode = attributes.text("mode", "constant")
    attributes.only("mode", mode, "constant")
    pads = site.integer_list("pads", 1, since=11)
    axes = site.integer_list("axes", 3, since=11) if site.opset >= 11 else None
    value = attributes.real("value", 0.0) if site.opset < 11 else _pad_value(site)
    attributes.finish()
    shape = site.known_shape()
    rank = 1 + len(shape)
    axes = tuple(range(rank)) if axes is None else axes
    if pads is None or len(pads) != 2 * len(axes) or not all(-rank <= axis < rank for axis in axes):
        raise Refusal(f"has pads {shown(pads or [])} and axes {shown(axes)} for {with_batch(shape)}")
    axes = [axis % rank for axis in axes]
    if len(set(axes)) != len(axes):
        raise Refusal(f"has axes {shown(axes)}, one of them twice")
    if not math.isfinite(value) or min(pads, default=0) < 0:
        raise Refusal(f"has pads {shown(pads)} of value {value:g}; only finite padding of at least 0 is supported")
    before, after = [0] * rank, [0] * rank
    for axis, first, last in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        before[axis], after[axis] = first, last
    if before[0] or after[0]:
        raise Refusal("pads the batch; only channels, rows and columns are padded")
    output = tuple(sum(sizes) for sizes in zip(shape, before[1:], after[1:], strict=True))
    check_size(output, "makes a map")
    if output == shape:
        return site.layer(Passage, shape), shape
    rest = (0,) * (3 - len(shape))
    before, after = (*before[1:], *rest), (*after[1:], *rest)
    return site.layer(Pad, output, before=before, after=after, value=value), output


def _pad_value(site):
    if not site.node.input(2):
        return 0.0
    value = site.constant(2, "value")
    if value.size != 1:
        raise Refusal(f"has {value.size} numbers as its value; one is expected")
    return float(value.reshape(-1)[0])
