"""Several images in one program: stages of narrow results compute all images at once, the others are repeated.

A stage whose results are one column wide, as a fully connected layer's are, leaves all but one of the array's
pixels idle. For a batch of N images it reads a map in which the images lie side by side, pixel x of image n in
column `x * pitch + n`, with a kernel dilated by the pitch, and makes N columns, so that P images share each weight
word. All stages in front of it are repeated, each image having maps of its own; those that write what it
reads write every `pitch`-th column.
"""

from dataclasses import dataclass, replace
from math import gcd

from quantflow.isa import Operation


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Whose values a map of the batch holds."""

    name: str  # of the map that one image alone would have
    image: int = 0  # where the map is one image's
    images: int = 1  # that lie in it side by side
    pitch: int = 1  # columns from a pixel of an image to the next one


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What is compiled: the stages in order, and the FeatureMaps and their Origins by name."""

    stages: list
    maps: dict
    origins: dict
    inputs: tuple[str, ...]  # maps, one for each image or one for all
    outputs: tuple[str, ...]
    images: int

    @property
    def order(self):
        """What is written, in order."""
        return [stage.destination for stage in self.stages]

    def origin(self, name):
        """The Origin of a map; that of one which the compiler has added is itself."""
        return self.origins.get(name, Origin(name=name))


def single(stages, maps, input, output):
    """One image: nothing is changed."""
    return Batch(stages=stages, maps=maps, origins={}, inputs=(input,), outputs=(output,), images=1)


def batched(stages, maps, input, output, config, images, *, by_layer, wide):
    """The Batch of so many `images`, from the stages and maps of one.

    Repeated stages follow one another layer by layer, which loads each layer's weights once, or else image by
    image, which keeps fewer maps. Without `wide`, only stages that read single columns compute all images at once.
    """
    shared = _shared(stages, maps, wide)
    joined = {name for n in shared for name in _operands(stages[n]) | {stages[n].destination.map}}
    origins = {}
    for name in maps:
        if name in joined:
            pitch = _pitch(maps[name].shape[2], images, config)
            origins[name] = Origin(name=name, images=images, pitch=pitch)
        else:
            origins |= {_of(name, n): Origin(name=name, image=n) for n in range(images)}
    one_by_one = [n for n in range(len(stages)) if n not in shared]
    numbers = range(images)
    order = [(s, n) for s in one_by_one for n in numbers] if by_layer else [(s, n) for n in numbers for s in one_by_one]
    together = [_side_by_side(stages[n], images, origins) for n in sorted(shared)]

    def ends(name):
        return (name,) if name in joined else tuple(_of(name, n) for n in range(images))

    return Batch(
        stages=[_repeated(stages[s], n, origins) for s, n in order] + together,
        maps={name: _map(maps[origin.name], name, origin) for name, origin in origins.items()},
        origins=origins,
        inputs=ends(input),
        outputs=ends(output),
        images=images,
    )


def _of(name, image):
    return f"{name} of image {image}"


def _operands(stage):
    """Names of the maps that a stage reads."""
    return {stage.source.map} | ({stage.residual.view.map} if stage.residual is not None else set())


def _shared(stages, maps, wide):
    """Indices of the stages that compute all images at once; no other stage reads what they read or write."""
    found = {n for n, stage in enumerate(stages) if _is_narrow(stage, maps, wide)}
    while True:
        alone = {name for n, stage in enumerate(stages) if n not in found for name in _operands(stage)}
        left = {n for n in found if not (_operands(stages[n]) | {stages[n].destination.map}) & alone}
        if left == found:
            return found
        found = left


def _is_narrow(stage, maps, wide):
    """Whether the images' results would lie side by side without taps in between that belong to none."""
    _, left, _, right = stage.window.padding
    if stage.output_shape[2] > 1 or stage.pool[1] > 1 or left or right:
        return False
    if all(maps[name].shape[2] == 1 for name in _operands(stage)):
        return True
    return wide and stage.operation == Operation.CONVOLVE and not stage.uniform  # others have no weights to share


def _pitch(width, images, config):
    """Columns from a pixel of an image to the next: so many that what one cycle writes goes to different banks."""
    pitch = images
    while width > 1 and config.requantizers > 1 and gcd(pitch, config.pixels) > 1:
        pitch += 1
    return pitch


def _map(original, name, origin):
    channels, height, width = original.shape
    return replace(original, name=name, shape=(channels, height, width * origin.pitch))


def _place(view, image, origins):
    """Where image number `image` has what one image alone has in a View."""
    origin = origins.get(view.map)
    if origin is None:
        return replace(view, map=_of(view.map, image))
    return replace(view, first_column=view.first_column * origin.pitch + image, column_step=origin.pitch)


def _repeated(stage, image, origins):
    """A stage of one image's."""
    residual = stage.residual
    if residual is not None:
        residual = replace(residual, view=_place(residual.view, image, origins))
    return replace(
        stage,
        source=_place(stage.source, image, origins),
        destination=_place(stage.destination, image, origins),
        residual=residual,
        image=image,
    )


def _first(view, origins):
    """The columns of all images at the place of a View of one column."""
    return replace(view, first_column=view.first_column * origins[view.map].pitch)


def _side_by_side(stage, images, origins):
    """A stage of all images at once."""
    pitch, window, residual = origins[stage.source.map].pitch, stage.window, stage.residual
    channels, height, width = stage.input_shape
    if residual is not None:
        residual = replace(residual, view=_first(residual.view, origins), stride=(residual.stride[0], 1))
    return replace(
        stage,
        source=_first(stage.source, origins),
        destination=_first(stage.destination, origins),
        residual=residual,
        input_shape=(channels, height, (width - 1) * pitch + images),
        output_shape=(*stage.output_shape[:2], images),
        window=replace(
            window,
            stride=(window.stride[0], 1),
            dilation=(window.dilation[0], window.dilation[1] * pitch),
        ),
        macs=stage.macs * images,
    )
