"""Puts things on a backdrop and takes a photograph of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_sam.synthesis.backdrops import BACKDROPS
from edge_sam.synthesis.camera import photograph
from edge_sam.synthesis.canvas import ROOT, Canvas
from edge_sam.synthesis.catalog import Builder
from edge_sam.synthesis.light import draw_light
from edge_sam.synthesis.maker import Maker
from edge_sam.synthesis.outlines import leaf
from edge_sam.synthesis.palettes import near
from edge_sam.synthesis.randomness import Randomness
from edge_sam.synthesis.stuff import Stage, paint_outline
from edge_sam.synthesis.surfaces import draw_texture
from edge_sam.synthesis.textures import Picture
from edge_sam.synthesis.things import Placement, paint_thing

FEWEST, MOST = 10, 60
"""Masks of an image."""
_SMALLEST_AREA = 0.0008
_SMALLEST_SIDE = 6
_SAME_SHARE = 0.93
"""A part that covers more of its whole than this is not told apart from it."""
_ASPECTS = {(2, 3): 4.0, (3, 4): 3.0, (1, 1): 1.0, (9, 16): 1.5}


@dataclass(frozen=True)
class Scene:
    """A picture and its masks.

    Attributes:
        image: uint8 ``(h, w, 3)``, RGB, before JPEG.
        masks: uint8 ``(n, h, w)``, 0 or 1; 10 to 60, exactly the visible pixels; they overlap where parts are nested.
        quality: of the JPEG file.
    """

    image: Picture
    masks: NDArray[np.uint8]
    quality: int


def draw_scene(seed: int, index: int, size: int = 512) -> Scene:
    """Draw picture ``index`` of the series ``seed``; the same pixels on every machine.

    Args:
        seed: of the series.
        index: of the picture.
        size: of its longer side, in pixels.
    """
    random = Randomness(seed, index, size)
    short, long = random.weighted(_ASPECTS)
    height, width = size * short // long, size
    if random.chance(0.25):
        height, width = width, height
    canvas = Canvas(height, width, draw_light(random))
    stage = random.weighted(BACKDROPS)(canvas, random)
    if random.chance(0.35):
        _strew(canvas, random, stage)
    _populate(canvas, random, stage)
    while len(nodes := _chosen(canvas, random)) < FEWEST:
        _place(canvas, random, stage, random.weighted(stage.builders), random.log_between(0.03, 0.15))
    image = photograph(canvas.picture, random, canvas.scale)
    return Scene(image, canvas.masks(nodes), random.integer(40, 95))


def _populate(canvas: Canvas, random: Randomness, stage: Stage) -> None:
    """Paint a few kinds of things, from far to near."""
    regime = random.weighted({"few": 3, "some": 4, "many": 2.5})
    count = {"few": random.integer(1, 4), "some": random.integer(4, 9), "many": random.integer(9, 16)}[regime]
    smallest, largest = {"few": (0.05, 0.5), "some": (0.04, 0.38), "many": (0.03, 0.22)}[regime]
    sizes = sorted(random.log_between(smallest, largest) for _ in range(count))
    if regime == "few":
        sizes[-1] = random.between(0.18, 0.5) if random.chance(0.75) else random.between(0.5, 0.95)
    kinds = [random.weighted(stage.builders) for _ in range(random.integer(2, 6))]
    focus = random.integer(0, count) if random.chance(0.2) else 0
    crowds = random.weighted({0: 3, 1: 1.2, 2: 0.3})
    for index, size in enumerate(sizes):
        _place(canvas, random, stage, random.choice(kinds), size)
        if index + 1 == focus:
            canvas.blur(random.between(0.8, 3.0) * canvas.scale)
        if crowds and random.chance(2.0 / count):
            crowds -= 1
            _crowd(canvas, random, stage)


def _strew(canvas: Canvas, random: Randomness, stage: Stage) -> None:
    """Strew small leaves, chips or blades about, which have no masks."""
    top = stage.horizon if stage.horizon is not None else 0.0
    for _ in range(random.integer(1, 3)):
        texture = draw_texture(random, random.choice(["plants", "soil", "stone", "cloth"]), 8.0)
        length, width = random.between(2.0, 12.0) * canvas.scale, random.between(0.1, 0.8)
        upright, outlines = random.chance(0.4), []
        for _ in range(random.integer(15, 70)):
            x, y = random.unit() * canvas.width, top + random.unit() * (canvas.height - top)
            tip = (x + random.signed(length * (0.3 if upright else 1.0)), y + random.signed(length))
            outlines.append(leaf((x, y), tip, width))
        paint_outline(canvas, outlines, texture, None)


def _place(canvas: Canvas, random: Randomness, stage: Stage, builder: Builder, share: float, parent: int = ROOT) -> int:
    """Paint one thing whose unit is ``share`` of the picture's long side."""
    size = share * max(canvas.height, canvas.width)
    edge = 0.3 if share > 0.18 else 0.02
    x = random.between(edge, 1.0 - edge) * canvas.width
    if share > 0.5:  # so near that only its upper part is in the picture
        y = size * random.between(0.75, 1.1)
    elif stage.horizon is None or random.chance(0.12):
        y = random.between(0.05, 0.95) * canvas.height
    else:  # nearer things are larger and stand lower
        depth = min(max(share * random.between(1.2, 3.0), 0.02), 1.0)
        y = stage.horizon + depth * (canvas.height - stage.horizon) - size
    color = None
    if random.chance(0.22):  # hard to tell from what is behind
        side = max(int(size), 8)
        behind = canvas.mean_color(max(int(y) - side // 2, 0), max(int(x) - side // 2, 0), side, side)
        color = near(random, behind, 40.0)
    turned = stage.turned or random.chance(0.08)
    place = Placement(
        x,
        y,
        size,
        angle=random.angle() if turned else random.signed(0.1),
        mirrored=random.chance(0.5),
        softness=random.between(0.35, 0.9) * max(canvas.scale, 0.5),
        shadow=stage.shadow,
    )
    return paint_thing(canvas, random, builder(Maker(random, size, color)), place, parent)


def _crowd(canvas: Canvas, random: Randomness, stage: Stage) -> None:
    """Paint many small things of one kind side by side, sometimes with a mask for them all."""
    builder = random.weighted(stage.builders)
    parent = canvas.add_node() if random.chance(0.4) else ROOT
    size = random.log_between(0.018, 0.08)
    long = max(canvas.height, canvas.width)
    middle = (random.between(0.15, 0.85) * canvas.width, random.between(0.3, 0.9) * canvas.height)
    columns, rows = random.integer(2, 6), random.integer(1, 2)
    pitch, loose = size * long * random.between(1.6, 2.6), random.between(0.0, 0.5)
    stock = random.integer(0, 1 << 30)
    alike = random.chance(0.6)
    for row in range(rows):
        for column in range(columns):
            x = middle[0] + (column - columns / 2 + random.signed(loose)) * pitch
            y = middle[1] + (row - rows / 2 + random.signed(loose)) * pitch
            source = Randomness(stock) if alike else random
            thing = builder(Maker(source, size * long))
            angle = random.signed(0.2) if not stage.turned else random.angle()
            paint_thing(canvas, random, thing, Placement(x, y, size * long, angle, shadow=stage.shadow), parent)


def _chosen(canvas: Canvas, random: Randomness) -> list[int]:
    """Return the nodes that are annotated: large enough, no doubles, not too many."""
    areas, sides = canvas.areas(), canvas.box_sides()
    smallest = _SMALLEST_AREA * canvas.height * canvas.width
    nodes = []
    for node in range(1, len(areas)):
        parent = canvas.parents[node]
        double = parent != ROOT and areas[node] > _SAME_SHARE * areas[parent]
        if areas[node] >= smallest and not double and sides[node] >= _SMALLEST_SIDE:
            nodes.append(node)
    while len(nodes) > MOST:
        del nodes[random.below(len(nodes))]
    return nodes
