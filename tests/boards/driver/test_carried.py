"""What a build folder carries runs where nothing is installed but numpy."""

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.boards.driver.builds import CONFIG, IMAGES, small_build

OLDEST_PYTHON = (3, 10)  # that PYNQ 3.0 has
BOARD = '''
import sys
from pathlib import Path

build = Path(sys.argv[1])
sys.path.insert(0, str(build / "driver"))
allowed = {*sys.stdlib_module_names, "numpy", "boards", "quantflow"}


class Nothing:
    """No other packages."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in allowed:
            raise ModuleNotFoundError(name, name=name)


sys.meta_path.insert(0, Nothing())
import numpy as np
import boards.driver.pynq, boards.driver.serial_line, quantflow
from boards.driver import Accelerator, Link
from quantflow.registers import DONE, START, Register

for module in (boards, quantflow):
    assert Path(module.__file__).is_relative_to(build / "driver"), module.__file__
with np.load(build / "images.npz") as arrays:
    images, expected = arrays["x"], arrays["expected"]


class Machine(Link):
    """Finds the input of the image that it is given among those that it knows."""

    def __init__(self):
        self.registers, self.memory = {}, bytearray(1 << 20)

    def read_register(self, address):
        return manifest.identity if address == Register.IDENTITY else self.registers.get(address, 0)

    def write_register(self, address, value):
        self.registers[address] = value
        if address == Register.CONTROL and value == START:
            packed = self.read_memory(manifest.input_address, manifest.input.bytes)
            (which,) = (n for n, image in enumerate(images) if manifest.input.pack_image(image).tobytes() == packed)
            self.write_memory(manifest.output_address, manifest.output.pack(expected[which]).tobytes())
            self.registers[Register.STATUS] = DONE

    def read_memory(self, address, size):
        return bytes(self.memory[address : address + size])

    def write_memory(self, address, data):
        self.memory[address : address + len(data)] = data


from quantflow.manifest import Manifest

manifest = Manifest.read(build)
accelerator = Accelerator.open(Machine(), build)
assert (accelerator.run(images) == expected).all()
assert accelerator.profile().layers is None
print("done on", images.shape[0])
'''


def test_on_a_bare_board(tmp_path):
    build = small_build(tmp_path / "build", 3, config=replace(CONFIG, ports=1, profile_depth=0))
    with np.load(build / IMAGES) as arrays:
        assert len({image.tobytes() for image in arrays["x"]}) == 3
    result = subprocess.run(
        [sys.executable, "-I", "-c", BOARD, str(build)], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert result.stdout == "done on 3\n", result.stderr
    for path in (build / "driver").rglob("*.py"):
        ast.parse(path.read_text(), feature_version=OLDEST_PYTHON)
        original = Path(__file__).parents[3] / path.relative_to(build / "driver")
        assert path.read_text() in ("", original.read_text())
