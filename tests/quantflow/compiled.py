"""Compiled programs on the emulator: every map of the trace program, and the outputs of all programs."""

import numpy as np

from quantflow.emulator import Emulator

ALIGNMENT = 4096


def run(deployment, q_image, program, *, emulator=None, seed=0):
    """One inference; returns the emulator, which a warm run goes on with, its scratchpads being full of old words.

    Everything outside of the image and the input holds odd values, so that reading it is seen.
    """
    regions = (len(deployment.image), deployment.input.bytes, deployment.trace_bytes, deployment.work_bytes)
    bases = tuple(int(end) for end in np.cumsum([0, *(-(-size // ALIGNMENT) * ALIGNMENT for size in regions)]))
    if emulator is None:
        memory = np.random.default_rng(seed).integers(0, 256, bases[-1], dtype=np.uint8)
        memory[: len(deployment.image)] = deployment.image
        emulator = Emulator(deployment.config, memory, bases[:4])
        emulator.activations[:] = 77 % (1 << (deployment.config.activation_bits - 1))
    packed = deployment.input.pack(q_image)
    emulator.memory[bases[1] : bases[1] + len(packed)] = packed
    chosen = deployment.programs[program]
    emulator.run(chosen.offset, chosen.length, seed=seed)
    return emulator


def result(emulator, transfer, offset=0):
    """The map [C, H, W] that lies at a byte offset of the output region."""
    start = emulator.bases[2] + offset
    return transfer.unpack(emulator.memory[start : start + transfer.bytes].tobytes())


def check(deployment, images, expected, *, seeds=(0, 1)):
    """Assert that all programs give the integers `expected` (by name, [N, C, H, W]) for integer images."""
    output = deployment.output
    for seed in seeds:
        emulator = run(deployment, images[0], "cold", seed=seed)
        np.testing.assert_array_equal(result(emulator, output), expected[output.name][0], f"cold, seed {seed}")
    if "warm" in deployment.programs:
        run(deployment, images[-1], "warm", emulator=emulator, seed=seeds[-1])
        np.testing.assert_array_equal(result(emulator, output), expected[output.name][-1], "warm")
    emulator = run(deployment, images[-1], "trace", seed=seeds[-1])
    for transfer, offset in zip(deployment.traces, deployment.trace_offsets, strict=True):
        if transfer.name in expected:
            integers = expected[transfer.name][-1].reshape(transfer.shape)
            np.testing.assert_array_equal(result(emulator, transfer, offset), integers, transfer.name)


def check_batch(deployment, images, expected, *, seeds=(0, 1)):
    """As `check`, for a program of a batch: `images` are as many as it computes."""
    batch = images[0] if deployment.batch == 1 else images

    def compare(emulator, transfer, offset, message):
        wanted = expected[transfer.name]
        wanted = wanted if transfer.images == deployment.batch else wanted[transfer.image]
        got = result(emulator, transfer, offset)
        np.testing.assert_array_equal(got, wanted.reshape(got.shape), message)

    for seed in seeds:
        emulator = run(deployment, batch, "cold", seed=seed)
        compare(emulator, deployment.output, 0, f"cold, seed {seed}")
    if "warm" in deployment.programs:
        run(deployment, batch, "warm", emulator=emulator, seed=seeds[-1])
        compare(emulator, deployment.output, 0, "warm")
    emulator = run(deployment, batch, "trace", seed=seeds[-1])
    for transfer, offset in zip(deployment.traces, deployment.trace_offsets, strict=True):
        if transfer.name in expected:
            compare(emulator, transfer, offset, transfer.name)
