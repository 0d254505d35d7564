"""A backdrop: sky, hills and ground."""

from dataclasses import replace

import numpy as np

from edge_sam.synthesis.canvas import Canvas
from edge_sam.synthesis.catalog import LIVING, MADE
from edge_sam.synthesis.outlines import blob, fractal_line, roughened, smoothed, transformed
from edge_sam.synthesis.palettes import MATERIALS, Color, draw_color, mixed, ramp, shade_ramp
from edge_sam.synthesis.randomness import Randomness
from edge_sam.synthesis.stuff import Stage, below, maybe_blur, paint_outline, paint_region
from edge_sam.synthesis.surfaces import draw_texture
from edge_sam.synthesis.things import Part, Placement, paint_thing


def landscape(canvas: Canvas, random: Randomness) -> Stage:
    """Paint sky, hills and ground."""
    horizon = random.between(0.12, 0.68) * canvas.height
    haze = paint_sky(canvas, random, horizon)
    _hills(canvas, random, horizon, haze)
    _ground(canvas, random, horizon)
    if random.chance(0.45):
        _hedge(canvas, random, horizon)
    maybe_blur(canvas, random, 0.35)
    return Stage(LIVING | {builder: weight * 0.5 for builder, weight in MADE.items()}, horizon, "ground")


def paint_sky(canvas: Canvas, random: Randomness, horizon: float) -> Color:
    """Fill the picture with a sky that ends at ``horizon``, and return its colour there."""
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
            _cloud(canvas, random, horizon, node, masked)
    return pale


def _cloud(canvas: Canvas, random: Randomness, horizon: float, sky: int, masked: bool) -> None:
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
    node = paint_thing(canvas, random, cloud, place, sky)
    if not masked:
        canvas.owners[canvas.owners == node] = sky


def _hills(canvas: Canvas, random: Randomness, horizon: float, haze: Color) -> None:
    count = random.weighted({0: 2, 1: 3, 2: 2, 3: 1})
    for index in range(count):
        material = random.choice(["plants", "stone", "soil"])
        near_share = (index + 1) / (count + 1)
        color = mixed(draw_color(random, MATERIALS[material]), haze, random.between(0.1, 0.8) * (1.0 - near_share))
        row = horizon * (0.55 + 0.4 * near_share * random.between(0.7, 1.0))
        swing = random.between(0.03, 0.25) * canvas.height
        mask = below(canvas, random, row, swing, random.between(0.35, 0.65), random.integer(0, 3))
        texture = draw_texture(random, material, 120 * canvas.scale, color)
        paint_region(canvas, mask, texture, canvas.add_node(), random.between(0.6, 1.5))


def _ground(canvas: Canvas, random: Randomness, horizon: float) -> None:
    material = random.weighted({"soil": 4, "plants": 3, "water": 2, "stone": 1})
    flat = None if random.chance(0.4) else horizon - random.between(0.02, 0.2) * canvas.height
    mask = below(canvas, random, horizon, random.between(0.0, 0.05) * canvas.height, 0.45, random.integer(0, 2))
    paint_region(canvas, mask, draw_texture(random, material, 90 * canvas.scale, horizon=flat), canvas.add_node())
    depth = canvas.height - horizon
    for _ in range(random.weighted({0: 2, 1: 3, 2: 3, 3: 1})):
        material = random.weighted({"soil": 3, "plants": 3, "water": 2, "stone": 2})
        texture = draw_texture(random, material, 90 * canvas.scale, horizon=flat if random.chance(0.7) else None)
        form = random.weighted({"shore": 3, "path": 1.5, "pool": 2})
        if form == "shore":
            row = horizon + depth * random.between(0.1, 0.85)
            swing = depth * random.between(0.03, 0.35)
            region = below(canvas, random, row, swing, random.between(0.35, 0.65), random.integer(0, 3))
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
