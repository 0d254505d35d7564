"""Small data sets in the folders and the form of COCO and LVIS, for tests that need no real photographs."""

import json
import shutil
from pathlib import Path

from tests.synthetic import write_sa1b

CATEGORIES = (1, 3, 90)
COCO_FILE = Path("coco", "annotations", "instances_val2017.json")
LVIS_FILE = Path("lvis", "lvis_v1_val.json")


def write_coco(root: Path, count: int, size: tuple[int, int] = (150, 200)) -> Path:
    """Write ``count`` pictures as COCO's val2017, and return ``root``.

    Categories go round from mask to mask. Each picture's last mask is a crowd; the last picture has no annotation.
    """
    source = write_sa1b(root / "sa1b", "val", count, size=size)
    pictures = root / "coco" / "val2017"
    (root / COCO_FILE).parent.mkdir(parents=True)
    shutil.copytree(source / "images" / "val", pictures)
    images, annotations = [], []
    for number, file in enumerate(sorted((source / "annotations" / "val").iterdir()), start=1):
        tree = json.loads(file.read_text())
        about = {key: tree["image"][key] for key in ("width", "height", "file_name")}
        url = f"http://images.cocodataset.org/val2017/{about['file_name']}"
        images.append(about | {"id": 100 + number, "coco_url": url})
        entries = [
            {key: entry[key] for key in ("segmentation", "bbox", "area")}
            | {"id": len(annotations) + place + 1, "image_id": 100 + number, "iscrowd": 0}
            | {"category_id": CATEGORIES[(number + place) % len(CATEGORIES)]}
            for place, entry in enumerate(tree["annotations"])
        ]
        entries[-1]["iscrowd"] = 1
        annotations += entries if number < count else []
    write_tree(root / COCO_FILE, images, annotations)
    shutil.rmtree(source)
    return root


def write_lvis(root: Path, count: int) -> Path:
    """Write the same as LVIS 1.0, whose pictures are COCO's: no crowds and no file names, but what was looked for."""
    write_coco(root, count)
    tree = read_tree(root / COCO_FILE)
    for image in tree["images"]:
        del image["file_name"]
        image |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
    for entry in tree["annotations"]:
        del entry["iscrowd"]
    (root / LVIS_FILE).parent.mkdir()
    write_tree(root / LVIS_FILE, tree["images"], tree["annotations"])
    return root


def write_tree(file: Path, images: list[dict], annotations: list[dict]) -> None:
    """Write an instances file with :data:`CATEGORIES`, which are rare, common and frequent."""
    categories = [{"id": one, "name": f"thing {one}", "frequency": f} for one, f in zip(CATEGORIES, "rcf", strict=True)]
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))


def read_tree(file: Path) -> dict:
    """Read an instances file."""
    return json.loads(file.read_text())
