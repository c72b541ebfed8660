"""What a build folder carries runs where nothing is installed but numpy."""

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.boards.driver import stand_in
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
from boards.driver import Accelerator
from quantflow.arithmetic import quantize
from quantflow.manifest import Manifest

for module in (boards, quantflow):
    assert Path(module.__file__).is_relative_to(build / "driver"), module.__file__
with np.load(build / "images.npz") as arrays:
    images, expected = arrays["x"], arrays["expected"]
exec(Path(sys.argv[2]).read_text())
manifest = Manifest.read(build)
machine = StandIn(manifest, quantize(images, manifest.input.format), expected)
accelerator = Accelerator.open(StandInLink(machine), build)
assert (accelerator.run(images) == expected).all()
assert machine.runs == ["cold", "warm", "warm"]
assert sum(layer.cycles for layer in accelerator.profile().layers) == machine.registers[0x50]
print("done on", images.shape[0])
'''


def test_on_a_bare_board(tmp_path):
    build = small_build(tmp_path / "build", 3, config=replace(CONFIG, ports=1))
    with np.load(build / IMAGES) as arrays:
        assert len({image.tobytes() for image in arrays["x"]}) == 3
    result = subprocess.run(
        [sys.executable, "-I", "-c", BOARD, str(build), stand_in.__file__],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert result.stdout == "done on 3\n", result.stderr
    for path in (build / "driver").rglob("*.py"):
        ast.parse(path.read_text(), feature_version=OLDEST_PYTHON)
        original = Path(__file__).parents[3] / path.relative_to(build / "driver")
        assert path.read_text() in ("", original.read_text())
