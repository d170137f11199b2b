"""Lays out the demo's pictures: photographs that ship inside scikit-image and scikit-learn, nothing downloaded.

python demo/pictures.py FOLDER
"""

import shutil
import sys
from importlib.resources import files
from pathlib import Path

PICTURES = {
    "skimage.data": "astronaut.png brick.png camera.png chelsea.png clock_motion.png coffee.png coins.png "
    "grass.png gravel.png horse.png hubble_deep_field.jpg moon.png motorcycle_left.png page.png rocket.jpg",
    "sklearn.datasets.images": "china.jpg flower.jpg",
}


def main(folder: Path) -> None:
    """Copies the pictures; a second run finds them there."""
    folder.mkdir(parents=True, exist_ok=True)
    for package, names in PICTURES.items():
        for name in names.split():
            shutil.copyfile(str(files(package) / name), folder / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
