"""The float engine against the definitions of its layers, and its refusal of wrong images."""

import numpy as np
import pytest

from quantflow import correlation, float_engine
from quantflow.errors import UserError
from quantflow.graph import Convolution, Dense, MaxPool, Network, Window


def small_network(relu=True):
    rng = np.random.default_rng(1)
    window = Window(kernel=(3, 2), stride=(2, 1), padding=(1, 0, 2, 1))
    pool = Window(kernel=(2, 2), stride=(1, 2), padding=(1, 0, 0, 1))
    layers = (
        Convolution(
            name="conv",
            inputs=("x",),
            input_shape=(2, 7, 6),
            output_shape=(4, 4, 6),
            window=window,
            weight=rng.normal(size=(4, 2, 3, 2)).astype(np.float32),
            bias=rng.normal(size=4).astype(np.float32),
            relu=relu,
        ),
        MaxPool(name="pool", inputs=("conv",), input_shape=(4, 4, 6), output_shape=(4, 4, 3), window=pool),
        Dense(
            name="dense",
            inputs=("pool",),
            input_shape=(4, 4, 3),
            output_shape=(5, 1, 1),
            weight=rng.normal(size=(5, 48)).astype(np.float32),
            bias=rng.normal(size=5).astype(np.float32),
        ),
    )
    return Network(name="small", input_name="x", input_shape=(2, 7, 6), layers=layers)


def taps_of(layer, x, fill):
    """Each output pixel's window, by slicing: [(row, column, taps [N, C, kh, kw])]."""
    top, left, bottom, right = layer.window.padding
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    height, width = layer.window.kernel
    for row, column in np.ndindex(*layer.output_shape[1:]):
        y, z = row * layer.window.stride[0], column * layer.window.stride[1]
        yield row, column, padded[:, :, y : y + height, z : z + width]


def expected_maps(network, images):
    """The network's maps in float64, pixel by pixel."""
    conv, pool, dense = network.layers
    maps = {"x": images.astype(np.float64)}
    sums = np.zeros((len(images), *conv.output_shape))
    for row, column, taps in taps_of(conv, maps["x"], 0):
        sums[:, :, row, column] = np.einsum("ncij,ocij->no", taps, conv.weight) + conv.bias
    maps["conv"] = np.maximum(sums, 0) if conv.relu else sums
    maps["pool"] = np.zeros((len(images), *pool.output_shape))
    for row, column, taps in taps_of(pool, maps["conv"], -np.inf):
        maps["pool"][:, :, row, column] = taps.max(axis=(2, 3))
    flat = maps["pool"].reshape(len(images), -1)
    maps["dense"] = (flat @ dense.weight.T + dense.bias)[:, :, None, None]
    return maps


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("column_bytes", [1, 4000, 1 << 25])
def test_every_map_follows_its_definition(relu, column_bytes, monkeypatch):
    monkeypatch.setattr(correlation, "COLUMN_BYTES", column_bytes)
    network = small_network(relu)
    images = np.random.default_rng(2).normal(size=(7, 2, 7, 6)).astype(np.float32)
    maps = float_engine.activations(network, images)
    expected = expected_maps(network, images)
    assert list(maps) == ["x", "conv", "pool", "dense"]
    for name, values in maps.items():
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("batch", [1, 3, 256])
def test_batches_do_not_change_the_outputs(batch):
    network = small_network()
    images = np.random.default_rng(3).normal(size=(7, 2, 7, 6)).astype(np.float32)
    output = float_engine.run(network, images, batch=batch)
    assert output.shape == (7, 5, 1, 1)
    expected = float_engine.activations(network, images)["dense"]
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5)


def test_no_image_gives_no_output():
    assert float_engine.run(small_network(), np.zeros((0, 2, 7, 6))).shape == (0, 5, 1, 1)


def test_images_may_be_integers_and_are_left_alone():
    images = np.random.default_rng(4).integers(0, 256, (2, 2, 7, 6), dtype=np.uint8)
    before = images.copy()
    expected = float_engine.run(small_network(), images.astype(np.float32))
    np.testing.assert_array_equal(float_engine.run(small_network(), images), expected)
    np.testing.assert_array_equal(images, before)


def test_features_are_a_map_of_one_pixel():
    dense = Dense(
        name="dense",
        inputs=("x",),
        input_shape=(3, 1, 1),
        output_shape=(1, 1, 1),
        weight=np.float32([[1, 2, 3]]),
        bias=np.float32([4]),
    )
    network = Network(name="d", input_name="x", input_shape=(3, 1, 1), layers=(dense,))
    output = float_engine.run(network, np.float64([[1, 1, 1], [0, 0, -2]]))
    assert output.reshape(-1).tolist() == [10, -2]


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (np.zeros((3, 7, 6)), r"images have the shape \[3, 7, 6\]; network 'small' expects \[N, 2, 7, 6\]"),
        (np.zeros((3, 2, 6, 7)), r"the images have the shape \[3, 2, 6, 7\]; .* expects \[N, 2, 7, 6\]"),
        (np.zeros((1, 2, 7, 6), complex), "the images are of type complex128; real numbers are expected"),
        (np.full((1, 2, 7, 6), "a"), "the images are of type <U1; real numbers are expected"),
        (np.full((1, 2, 7, 6), np.nan), "the images hold a NaN or an infinity in float32"),
        (np.full((1, 2, 7, 6), 1e300), "the images hold a NaN or an infinity in float32"),
    ],
)
@pytest.mark.parametrize("function", [float_engine.run, float_engine.activations])
def test_images_that_do_not_fit_are_refused(function, images, sentence):
    with pytest.raises(UserError, match=sentence):
        function(small_network(), images)
