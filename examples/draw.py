"""Run examples and save their pictures to examples/images, in few colours to keep them small.

python examples/draw.py denoising digits time_series
"""

import contextlib
import runpy
import sys
from io import BytesIO
from pathlib import Path

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
from PIL import Image

FOLDER = Path(__file__).parent


def draw(name: str) -> None:
    plt.close("all")
    with contextlib.chdir(FOLDER):
        runpy.run_path(f"plot_{name}.py")
    numbers = plt.get_fignums()
    for number in numbers:
        png = BytesIO()
        plt.figure(number).savefig(png, dpi=80)
        path = FOLDER / "images" / f"{name}{f'_{number}' if len(numbers) > 1 else ''}.png"
        path.parent.mkdir(exist_ok=True)
        image = Image.open(png).convert("RGB").quantize(64, Image.Quantize.MAXCOVERAGE)
        image.save(path, optimize=True)
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        draw(name)
