"""A process that imports files which may be anything, with limits on its time and memory.

It is forked once, and anew where a file ends it. Beside the import it runs the network on random images and
compares the output with onnxruntime's, which may fail as it likes.
"""

import multiprocessing
import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from quantflow import float_engine, integer_engine
from quantflow.arithmetic import dequantize
from quantflow.errors import UserError
from quantflow.given import quantize_given
from quantflow.importer import inspect_model, load_network

SECONDS = 10  # for the inspection, for the import, and for running what was imported
BYTES = 2 << 30  # of address space above what the process has when it starts
SMALL_MAPS, SMALL_MACS = 1 << 22, 1 << 28  # values in maps or weights, and the work, of a network that is run
COMPARED_LAYERS = 500  # at most: with thousands, onnxruntime takes seconds to begin
TOLERANCE = 1e-4  # of the largest number in any map
HARMFUL = ("os.", "shutil.", "subprocess.", "socket.", "pickle.", "tempfile.", "ctypes.")
HARMLESS = ("os.listdir", "os.scandir", "os.putenv", "os.unsetenv")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one file fared."""

    kind: str  # "imported", "refused" or "failed"
    text: str = ""  # the sentence of a refusal; how a file failed
    run: str = ""  # of an imported one: "compared", or why it was not


class Worker:
    """The process; a context manager."""

    def __init__(self):
        self._start()

    def _start(self):
        context = multiprocessing.get_context("fork")
        self._connection, child = context.Pipe()
        self._process = context.Process(target=_serve, args=(child,), daemon=True)
        self._process.start()
        child.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._end()

    def _end(self):
        self._process.kill()
        self._process.join()
        self._connection.close()

    def judge(self, path):
        """The Outcome of the file at `path`."""
        stages = {"inspected": None}
        try:
            self._connection.send(str(path))
            while "done" not in stages:
                if not self._connection.poll(SECONDS):
                    raise TimeoutError
                stage, value = self._connection.recv()
                stages[stage] = value
        except (EOFError, OSError) as error:
            self._end()
            how = f"takes more than {SECONDS} s" if isinstance(error, TimeoutError) else "ends the process"
            self._start()
            if "ran" not in stages:
                return Outcome(kind="failed", text=f"{how} behind the stages {', '.join(stages)}")
            stages["compared"] = f"onnxruntime {how}"
        return _outcome(stages)


def _outcome(stages):
    if "failed" in stages:
        return Outcome(kind="failed", text=stages["failed"])
    if "refused" in stages:
        return Outcome(kind="refused", text=stages["refused"])
    return Outcome(kind="imported", run=stages.get("compared") or stages["ran"])


def _serve(connection):
    watch = _Watch()
    sys.dont_write_bytecode = True
    base = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (base + BYTES, base + BYTES))
    sys.addaudithook(watch.see)
    while True:
        path = Path(connection.recv())
        try:
            _judge(path, watch, lambda stage, value=None: connection.send((stage, value)))
        except Exception as error:
            watch.active = False
            connection.send(("failed", f"{type(error).__name__}: {str(error)[:300]}{_place(error)}"))
        connection.send(("done", None))


def _place(error):
    """File and line, the innermost last, of what quantflow did."""
    frames, trace = [], error.__traceback__
    while trace is not None:
        frames.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return f" ({' '.join(frames[-6:])})"


class _Watch:
    """Notes what a file makes quantflow do to the computer."""

    def __init__(self):
        self.active, self.folder, self.seen = False, None, []
        self._code = tuple({str(Path(each).resolve()) for each in (sys.prefix, sys.base_prefix, *sys.path)})

    def see(self, event, arguments):
        if not self.active:
            return
        if event == "open":
            path, _, flags = arguments
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            if writes or not str(path).startswith((self.folder, *self._code)):
                self.seen.append(f"opens {path}")
        elif event.startswith(HARMFUL) and event not in HARMLESS:
            self.seen.append(f"does {event} {str(arguments)[:100]}")


def _judge(path, watch, tell):
    watch.active, watch.folder, watch.seen = True, str(path.parent.resolve()), []
    sentences, network = set(), None
    try:
        inspection = inspect_model(path)
    except UserError as error:
        inspection = None
        sentences.add(str(error))
    tell("inspected")
    try:
        network = load_network(path)
    except UserError as error:
        sentences.add(str(error))
    watch.active = False
    if watch.seen:
        raise AssertionError("; ".join(watch.seen))
    if (network is not None) != (inspection is not None and inspection.supported):
        raise AssertionError(f"inspection and import differ: {sentences}")
    if network is None:
        (sentence,) = sentences
        tell("refused", sentence)
        return
    tell("loaded")
    if not _is_small(network):
        tell("ran", "too large to be run")
        return
    images = np.random.default_rng(3).random((2, *network.input_shape), dtype=np.float32)
    with np.errstate(all="ignore"):
        maps = float_engine.activations(network, images)
    for layer in network.layers:
        if maps[layer.name].shape != (2, *layer.output_shape):
            raise AssertionError(f"{layer.name} makes {maps[layer.name].shape}, not {layer.output_shape}")
    tell("ran")
    tell("compared", _compared(path, network, images, maps))


def _is_small(network):
    """Whether a network can be run in a moment."""
    work = values = np.prod(network.input_shape, dtype=float)
    for layer in network.layers:
        outputs = np.prod(layer.output_shape, dtype=float)
        work += layer.macs
        values += outputs
        if hasattr(layer, "window"):
            top, left, bottom, right = layer.window.padding
            channels, height, width = layer.input_shape
            values += channels * float(height + top + bottom) * (width + left + right)
            work += outputs * np.prod(layer.window.kernel, dtype=float)
    return max(values, network.parameters) < SMALL_MAPS and work < SMALL_MACS


def _compared(path, network, images, maps):
    """Compare with onnxruntime: "compared", or why not; raises AssertionError where the outputs differ."""
    if network.host:
        return "the model ends on the host"
    if len(network.layers) > COMPARED_LAYERS:
        return "too many layers to be compared"
    try:
        import onnxruntime
    except ImportError:
        return "no onnxruntime here"
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 4, 1
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        (source,) = session.get_inputs()
        batch = source.shape[0] if isinstance(source.shape[0], int) else 2
        images = np.concatenate([images] * batch)[:batch] if batch <= 64 else images
        images = images.reshape(batch, *network.input_shape[: None if len(source.shape) == 4 else 1])
        (expected,) = session.run(None, {source.name: images})
    except Exception as error:  # of any kind: it is not onnxruntime that is judged
        return f"onnxruntime refuses: {str(error)[:200]}"
    ours, step = maps[network.layers[-1].name], 0
    if network.formats:
        try:
            quantized = quantize_given(network)
        except UserError:
            return "only some maps have quantizers"
        name = network.layers[-1].name
        output, original = quantized.output_format(name), images.reshape(-1, *network.input_shape)
        ours, step = dequantize(integer_engine.run(quantized, original, keep=False)[name], output), 2.0**-output.fl
    ours = np.concatenate([ours] * batch)[:batch].reshape(batch, -1)
    if expected.size != ours.size:
        raise AssertionError(f"onnxruntime makes {expected.shape}, quantflow {network.output_shape}")
    if not (np.isfinite(expected).all() and all(np.isfinite(each).all() for each in maps.values())):
        return "numbers that are not finite"
    largest = max(float(np.abs(each).max()) for each in maps.values())
    if not np.allclose(ours, expected.reshape(batch, -1), rtol=0, atol=TOLERANCE * largest + step + 1e-30):
        error = float(np.abs(ours - expected.reshape(batch, -1)).max())
        raise AssertionError(f"onnxruntime's output differs by {error:g}, the largest number being {largest:g}")
    return "compared"
