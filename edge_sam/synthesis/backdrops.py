"""What is behind the things: regions of stuff that fill the picture, in several kinds of places."""

from collections.abc import Callable

import numpy as np

from edge_sam.synthesis.canvas import Canvas
from edge_sam.synthesis.catalog import LIVING, MADE
from edge_sam.synthesis.fields import SIDE, fields
from edge_sam.synthesis.landscape import landscape, paint_sky
from edge_sam.synthesis.made import building, panel
from edge_sam.synthesis.maker import Maker
from edge_sam.synthesis.outlines import blob, fractal_line, irregular_polygon, roughened, transformed
from edge_sam.synthesis.palettes import MATERIALS, draw_color, scaled
from edge_sam.synthesis.randomness import Randomness
from edge_sam.synthesis.stuff import Stage, below, maybe_blur, paint_outline, paint_region
from edge_sam.synthesis.surfaces import draw_texture
from edge_sam.synthesis.things import Part, Placement, paint_thing


def street(canvas: Canvas, random: Randomness) -> Stage:
    """Paint a row of buildings behind a road."""
    horizon = random.between(0.45, 0.75) * canvas.height
    paint_sky(canvas, random, horizon)
    x = -random.between(0.0, 0.1) * canvas.width
    while x < canvas.width * 1.05:
        size = random.between(0.12, 0.4) * canvas.width
        make = Maker(random, size)
        foot = horizon + random.between(0.0, 0.03) * canvas.height
        paint_thing(canvas, random, building(make), Placement(x, foot - size, size))
        x += size * random.between(0.5, 1.7)
    paint_region(
        canvas,
        below(canvas, random, horizon, 0.0, 0.5),
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
    maybe_blur(canvas, random, 0.2)
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
    maybe_blur(canvas, random, 0.3)
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
    maybe_blur(canvas, random, 0.15)
    return Stage(LIVING | MADE, None, random.choice(["", "wall"]), turned=random.chance(0.6))


def backdrop(canvas: Canvas, random: Randomness) -> Stage:
    """Paint what is far behind, out of focus: soft patches on one or two surfaces."""
    everything = np.ones((canvas.height, canvas.width), bool)
    material = random.choice(list(MATERIALS))
    node = canvas.add_node()
    paint_region(canvas, everything, draw_texture(random, material, 150 * canvas.scale), node)
    if random.chance(0.4):
        row, swing = random.between(0.3, 0.8) * canvas.height, random.between(0.0, 0.15) * canvas.height
        mask = below(canvas, random, row, swing, 0.4, 2)
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
        outline, size = irregular_polygon(random, 4), random.between(0.3, 0.7) * canvas.width
        outline = transformed(outline, size, 0.0, (random.unit() * canvas.width, random.unit() * canvas.height))
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
    maybe_blur(canvas, random, 0.3)
    return Stage(LIVING | {builder: weight * 0.2 for builder, weight in MADE.items()}, None, "")


BACKDROPS: dict[Callable[[Canvas, Randomness], Stage], float] = {
    landscape: 6,
    street: 2.5,
    room: 3,
    mosaic: 2.5,
    backdrop: 3,
    surface: 2,
    thicket: 2.5,
}
