"""What is behind the things: regions of stuff that fill the picture, in several kinds of places."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from edge_sam.synthesis.canvas import ROOT, Canvas
from edge_sam.synthesis.fields import SIDE, fields
from edge_sam.synthesis.living import LIVING
from edge_sam.synthesis.made import MADE, building, panel
from edge_sam.synthesis.maker import Maker
from edge_sam.synthesis.outlines import Outline, blob, fractal_line, irregular_polygon, roughened, smoothed, transformed
from edge_sam.synthesis.palettes import MATERIALS, Color, draw_color, mixed, ramp, scaled, shade_ramp
from edge_sam.synthesis.randomness import Randomness
from edge_sam.synthesis.rasterizing import Mask, bounds, rasterize
from edge_sam.synthesis.surfaces import draw_texture
from edge_sam.synthesis.textures import Texture
from edge_sam.synthesis.things import Part, Placement, paint_thing

Builder = Callable[[Maker], Part]


@dataclass(frozen=True)
class Stage:
    """How things are put on a backdrop.

    Attributes:
        builders: what appears, and how often.
        horizon: row of the horizon where things stand on a ground; None where they lie anywhere.
        shadow: kind of their shadows, see :class:`Placement`.
        turned: whether they lie at any angle.
    """

    builders: dict[Builder, float]
    horizon: float | None = None
    shadow: str = ""
    turned: bool = False


def paint_region(canvas: Canvas, mask: Mask, texture: Texture, node: int | None, softness: float = 0.7) -> None:
    """Paint stuff where a mask of the whole picture holds."""
    rows = np.flatnonzero(mask.any(1))
    if len(rows):
        top, bottom = int(rows[0]), int(rows[-1]) + 1
        colors = texture.render(top, 0, bottom - top, canvas.width)
        canvas.paint(mask[top:bottom], colors, top, 0, node, softness)


def paint_outline(
    canvas: Canvas, outlines: list[Outline], texture: Texture, node: int | None, soft: float = 0.7
) -> None:
    """Paint stuff inside of outlines in pixels."""
    top, left, height, width = bounds(outlines, canvas.height, canvas.width)
    if height and width:
        colors = texture.render(top, left, height, width)
        canvas.paint(rasterize(outlines, top, left, height, width), colors, top, left, node, soft)


def _below(canvas: Canvas, random: Randomness, row: float, swing: float, roughness: float, smooth: int = 0) -> Mask:
    """Return the pixels below a random line around ``row``."""
    line = row + swing * fractal_line(random, canvas.width, roughness, smooth)
    return np.arange(canvas.height)[:, None] >= line[None]


def _sky(canvas: Canvas, random: Randomness, horizon: float) -> Color:
    node = canvas.add_node()
    color = draw_color(random, MATERIALS["sky"])
    pale = mixed(color, (235.0, 232.0, 225.0), random.between(0.0, 0.6))
    rows = np.minimum(np.arange(canvas.height) * 255 // max(int(horizon), 1), 255)
    colors = np.broadcast_to(ramp([(0.0, color), (1.0, pale)])[rows][:, None], canvas.picture.shape)
    canvas.picture[...] = colors
    canvas.owners[...] = node
    cover = random.weighted({"clear": 4, "veil": 3, "clouds": 4})
    if cover == "veil":
        texture = draw_texture(
            random, "sky", canvas.width, mixed(color, (240.0, 238.0, 235.0), random.between(0.2, 0.9))
        )
        texture = replace(
            texture, pattern="clouds", stretch=random.between(1, 4), direction=(0.0, 1.0), wavelength=150.0
        )
        opacity = np.clip((texture.values(0, 0, canvas.height, canvas.width).astype(np.int16) - 110) * 3, 0, 230)
        canvas.blend(np.s_[:, :], np.broadcast_to(texture.ramp[220], colors.shape), opacity.astype(np.uint8))
    elif cover == "clouds":
        masked = random.chance(0.7)
        for _ in range(random.integer(1, 5)):
            _cloud(canvas, random, horizon, node if not masked else canvas.add_node(node))
    return pale


def _cloud(canvas: Canvas, random: Randomness, horizon: float, node: int) -> None:
    tone = random.between(200.0, 248.0)
    texture = draw_texture(random, "sky", 100, (tone, tone, tone * random.between(0.94, 1.02)))
    texture = replace(texture, pattern="clouds", wavelength=130.0, ramp=shade_ramp(random, (tone, tone, tone), 0.12))
    middle = (random.unit() * canvas.width, random.between(0.0, 0.9) * horizon)
    size = random.log_between(0.06, 0.3) * canvas.width
    outlines = [
        transformed(blob(random) * (1.0, 0.6), random.between(0.5, 1.0), 0.0, (random.signed(1.2), random.signed(0.3)))
        for _ in range(random.integer(2, 5))
    ]
    cloud = Part(outlines, texture, roundness=0.6, fringe=random.between(0.1, 0.4))
    place = Placement(*middle, size, softness=random.between(1.0, 4.0))
    placed_node = paint_thing(canvas, random, cloud, place, canvas.parents[node] if node != ROOT else ROOT)
    canvas.owners[canvas.owners == placed_node] = node


def _hills(canvas: Canvas, random: Randomness, horizon: float, haze: Color) -> None:
    count = random.weighted({0: 2, 1: 3, 2: 2, 3: 1})
    for index in range(count):
        material = random.choice(["plants", "stone", "soil"])
        near_share = (index + 1) / (count + 1)
        color = mixed(draw_color(random, MATERIALS[material]), haze, random.between(0.1, 0.8) * (1.0 - near_share))
        row = horizon * (0.55 + 0.4 * near_share * random.between(0.7, 1.0))
        swing = random.between(0.03, 0.25) * canvas.height
        mask = _below(canvas, random, row, swing, random.between(0.35, 0.65), random.integer(0, 3))
        texture = draw_texture(random, material, 120 * canvas.scale, color)
        paint_region(canvas, mask, texture, canvas.add_node(), random.between(0.6, 1.5))


def _ground(canvas: Canvas, random: Randomness, horizon: float) -> None:
    material = random.weighted({"soil": 4, "plants": 3, "water": 2, "stone": 1})
    flat = None if random.chance(0.4) else horizon - random.between(0.02, 0.2) * canvas.height
    mask = _below(canvas, random, horizon, random.between(0.0, 0.05) * canvas.height, 0.45, random.integer(0, 2))
    paint_region(canvas, mask, draw_texture(random, material, 90 * canvas.scale, horizon=flat), canvas.add_node())
    depth = canvas.height - horizon
    for _ in range(random.weighted({0: 2, 1: 3, 2: 3, 3: 1})):
        material = random.weighted({"soil": 3, "plants": 3, "water": 2, "stone": 2})
        texture = draw_texture(random, material, 90 * canvas.scale, horizon=flat if random.chance(0.7) else None)
        form = random.weighted({"shore": 3, "path": 1.5, "pool": 2})
        if form == "shore":
            row = horizon + depth * random.between(0.1, 0.85)
            swing = depth * random.between(0.03, 0.35)
            region = _below(canvas, random, row, swing, random.between(0.35, 0.65), random.integer(0, 3))
            paint_region(canvas, region, texture, canvas.add_node(), random.between(0.6, 1.5))
            continue
        if form == "path":
            start, end = random.unit() * canvas.width, random.between(-0.2, 1.2) * canvas.width
            wide = random.between(0.08, 0.4) * canvas.width
            bend = (start * 0.5 + end * 0.5 + random.signed(0.15) * canvas.width, horizon + depth * 0.3)
            points = [(start - 2, horizon), (start + 2, horizon), (bend[0] + wide * 0.2, bend[1])]
            points += [
                (end + wide, canvas.height + 2.0),
                (end - wide, canvas.height + 2.0),
                (bend[0] - wide * 0.2, bend[1]),
            ]
            outline = np.array(points)
        else:
            middle = (random.unit() * canvas.width, horizon + depth * random.between(0.15, 0.9))
            outline = (
                blob(random) * (random.between(0.1, 0.5) * canvas.width, depth * random.between(0.04, 0.2)) + middle
            )
        outline = roughened(random, smoothed(outline, 2), random.between(0.0, 0.25), 1)
        paint_outline(canvas, [outline], texture, canvas.add_node(), random.between(0.6, 1.5))


def landscape(canvas: Canvas, random: Randomness) -> Stage:
    """Paint sky, hills and ground."""
    horizon = random.between(0.12, 0.68) * canvas.height
    haze = _sky(canvas, random, horizon)
    _hills(canvas, random, horizon, haze)
    _ground(canvas, random, horizon)
    if random.chance(0.45):
        _hedge(canvas, random, horizon)
    _maybe_blur(canvas, random, 0.35)
    return Stage(LIVING | {builder: weight * 0.5 for builder, weight in MADE.items()}, horizon, "ground")


def _hedge(canvas: Canvas, random: Randomness, horizon: float) -> None:
    """Paint a line of trees or bushes along the horizon."""
    tall = random.between(0.03, 0.22) * canvas.height
    top = horizon - tall + tall * 0.5 * fractal_line(random, canvas.width, random.between(0.55, 0.75))
    rows = np.arange(canvas.height)[:, None]
    mask = (rows >= top[None]) & (rows < horizon + random.between(1.0, 8.0))
    if random.chance(0.5):
        gap = int(random.unit() * canvas.width)
        mask[:, gap : gap + int(random.between(0.1, 0.5) * canvas.width)] = False
    paint_region(canvas, mask, draw_texture(random, "plants", 60 * canvas.scale), canvas.add_node(), 0.9)


def street(canvas: Canvas, random: Randomness) -> Stage:
    """Paint a row of buildings behind a road."""
    horizon = random.between(0.45, 0.75) * canvas.height
    _sky(canvas, random, horizon)
    x = -random.between(0.0, 0.1) * canvas.width
    while x < canvas.width * 1.05:
        size = random.between(0.12, 0.4) * canvas.width
        make = Maker(random, size)
        foot = horizon + random.between(0.0, 0.03) * canvas.height
        paint_thing(canvas, random, building(make), Placement(x, foot - size, size))
        x += size * random.between(0.5, 1.7)
    paint_region(
        canvas,
        _below(canvas, random, horizon, 0.0, 0.5),
        draw_texture(random, "stone", 60 * canvas.scale, horizon=horizon - 20 * canvas.scale),
        canvas.add_node(),
    )
    if random.chance(0.7):
        row = horizon + (canvas.height - horizon) * random.between(0.15, 0.7)
        slope = fractal_line(random, canvas.width, 0.1, 6) * random.between(0.0, 0.1) * canvas.height
        mask = np.arange(canvas.height)[:, None] >= (row + slope)[None]
        paint_region(
            canvas, mask, draw_texture(random, "soil", 60 * canvas.scale, horizon=horizon - 20), canvas.add_node()
        )
    _maybe_blur(canvas, random, 0.2)
    return Stage(MADE | {builder: weight * 0.7 for builder, weight in LIVING.items()}, horizon, "ground")


def room(canvas: Canvas, random: Randomness) -> Stage:
    """Paint a wall, a floor or a table, and what hangs on the wall."""
    edge = random.between(0.35, 0.85) * canvas.height
    everything = np.ones((canvas.height, canvas.width), bool)
    paint_region(canvas, everything, draw_texture(random, "wall", 120 * canvas.scale), canvas.add_node())
    if random.chance(0.35):  # the corner of the room
        corner = random.between(0.15, 0.85) * canvas.width
        side = everything & (np.arange(canvas.width)[None] >= corner)
        paint_region(canvas, side, draw_texture(random, "wall", 120 * canvas.scale), canvas.add_node())
    for _ in range(random.weighted({0: 2, 1: 2, 2: 2, 4: 1})):
        size = random.log_between(0.05, 0.25) * canvas.width
        place = Placement(random.unit() * canvas.width, random.between(0.0, 0.8) * edge, size, shadow="wall")
        paint_thing(canvas, random, panel(Maker(random, size)), place)
    tilt = random.signed(0.12) if random.chance(0.5) else 0.0
    line = edge + (np.arange(canvas.width) - canvas.width * 0.5) * tilt
    mask = np.arange(canvas.height)[:, None] >= line[None]
    texture = draw_texture(
        random, random.choice(["wood", "cloth", "stone", "wall"]), 80 * canvas.scale, horizon=edge - 60
    )
    paint_region(canvas, mask, texture, canvas.add_node())
    _maybe_blur(canvas, random, 0.3)
    indoors = MADE | {builder: weight * 0.4 for builder, weight in LIVING.items()}
    return Stage(indoors, edge, random.choice(["ground", "wall"]))


def mosaic(canvas: Canvas, random: Randomness) -> Stage:
    """Paint a partition of the picture into regions: fields from above, a reef, a cliff, a collage."""
    count, warp = random.integer(3, 11), random.between(0.0, 0.5) * canvas.width
    materials = random.choice(
        [["plants", "soil", "water"], ["stone", "soil"], list(MATERIALS), ["plants", "plants", "stone"]]
    )
    step = max(int(random.between(0.4, 2.0) / canvas.scale * 2), 1)
    rows, columns = np.arange(canvas.height), np.arange(canvas.width)
    swing = fields().smooth if random.chance(0.6) else fields().clouds
    shift = random.below(SIDE)
    noise = (
        swing[np.ix_((rows * step // 2 + shift) & (SIDE - 1), (columns * step // 2) & (SIDE - 1))].astype(np.int32)
        - 128
    )
    y = rows[:, None] + ((noise * int(warp)) >> 8)
    x = columns[None] + ((noise[::-1, ::-1] * int(warp)) >> 8)
    nearest, owner = np.full(noise.shape, 1 << 30, np.int32), np.zeros(noise.shape, np.int8)
    for index in range(count):
        site_y, site_x = random.below(canvas.height), random.below(canvas.width)
        weight = random.integer(1, 3)
        distance = (np.square(y - site_y) + np.square(x - site_x)) * np.int32(weight)
        owner = np.where(distance < nearest, np.int8(index), owner)
        nearest = np.minimum(nearest, distance)
    for index in range(count):
        texture = draw_texture(random, random.choice(materials), 100 * canvas.scale)
        paint_region(canvas, owner == index, texture, canvas.add_node(), random.between(0.6, 2.0))
    _maybe_blur(canvas, random, 0.15)
    return Stage(LIVING | MADE, None, random.choice(["", "wall"]), turned=random.chance(0.6))


def backdrop(canvas: Canvas, random: Randomness) -> Stage:
    """Paint what is far behind, out of focus: soft patches on one or two surfaces."""
    everything = np.ones((canvas.height, canvas.width), bool)
    material = random.choice(list(MATERIALS))
    node = canvas.add_node()
    paint_region(canvas, everything, draw_texture(random, material, 150 * canvas.scale), node)
    if random.chance(0.4):
        row, swing = random.between(0.3, 0.8) * canvas.height, random.between(0.0, 0.15) * canvas.height
        mask = _below(canvas, random, row, swing, 0.4, 2)
        paint_region(canvas, mask, draw_texture(random, random.choice(list(MATERIALS)), 150), canvas.add_node())
    own = random.chance(0.3)
    for _ in range(random.integer(0, 14)):
        size = random.log_between(0.03, 0.4) * canvas.width
        outline = transformed(
            blob(random), size, random.angle(), (random.unit() * canvas.width, random.unit() * canvas.height)
        )
        paint_outline(canvas, [outline], draw_texture(random, material, size), canvas.add_node() if own else None)
    canvas.blur(random.between(1.0, 9.0) * canvas.scale)
    return Stage(LIVING | MADE, None, "")


def surface(canvas: Canvas, random: Randomness) -> Stage:
    """Paint one surface seen from above, on which things lie."""
    everything = np.ones((canvas.height, canvas.width), bool)
    material = random.choice(["soil", "wood", "cloth", "stone", "plants", "water", "paint"])
    paint_region(canvas, everything, draw_texture(random, material, 150 * canvas.scale), canvas.add_node())
    for _ in range(random.weighted({0: 3, 1: 2, 2: 1})):
        outline = irregular_polygon(random, 4) * random.between(0.3, 0.7) * canvas.width
        outline = outline + (random.unit() * canvas.width, random.unit() * canvas.height)
        paint_outline(canvas, [outline], draw_texture(random, "cloth", 100 * canvas.scale), canvas.add_node())
    return Stage(LIVING | MADE, None, "wall", turned=True)


def thicket(canvas: Canvas, random: Randomness) -> Stage:
    """Paint masses behind each other that fill the picture: bushes, rocks, corals."""
    everything = np.ones((canvas.height, canvas.width), bool)
    materials = random.choice([["plants"], ["stone", "plants"], ["stone", "soil"], ["plants", "cloth", "stone"]])
    dark = scaled(draw_color(random, MATERIALS[materials[0]]), random.between(0.3, 0.9))
    paint_region(canvas, everything, draw_texture(random, materials[0], 100 * canvas.scale, dark), canvas.add_node())
    count = random.integer(4, 12)
    for index in range(count):
        size = random.between(0.1, 0.35) * canvas.width
        row = canvas.height * (0.1 + 0.95 * index / count) + random.signed(0.1) * canvas.height
        texture = draw_texture(random, random.choice(materials), size)
        outline = roughened(random, blob(random), random.between(0.0, 0.2), 2)
        fringe = random.between(0.0, 0.2) * random.unit()
        part = Part([outline], texture, roundness=random.unit(), fringe=fringe)
        place = Placement(random.unit() * canvas.width, row, size, softness=random.between(0.6, 1.5), shadow="wall")
        paint_thing(canvas, random, part, place)
    _maybe_blur(canvas, random, 0.3)
    return Stage(LIVING | {builder: weight * 0.2 for builder, weight in MADE.items()}, None, "")


def _maybe_blur(canvas: Canvas, random: Randomness, probability: float) -> None:
    if random.chance(probability):
        canvas.blur(random.between(0.8, 4.0) * canvas.scale)


BACKDROPS: dict[Callable[[Canvas, Randomness], Stage], float] = {
    landscape: 6,
    street: 2.5,
    room: 3,
    mosaic: 2.5,
    backdrop: 3,
    surface: 2,
    thicket: 2.5,
}
