"""Buildings, boxes, vehicles and furniture."""

import numpy as np

from edge_sam.synthesis.maker import Maker
from edge_sam.synthesis.outlines import (
    Outline,
    capsule,
    ellipse,
    irregular_polygon,
    limb,
    rectangle,
    smoothed,
    superellipse,
)
from edge_sam.synthesis.things import Part


def building(make: Maker) -> Part:
    """Return a house, a tower or a block, with its roof, windows and door."""
    random = make.random
    half, top = random.between(0.35, 1.0), random.between(-0.9, -0.2)
    masked = random.chance(0.5)
    walls = Part([rectangle(-half, top, half, 1.0)], make.main("wall"), masked, roundness=0.0)
    walls.parts = _windows(make, half, top)
    parts = [walls]
    if random.chance(0.45):  # the wall around the corner, in shade
        depth, drop = half + random.between(0.15, 0.6), random.between(0.0, 0.15)
        side = smoothed(rectangle(half, top, depth, 1.0), 0)
        side[1, 1], side[2, 1] = top + drop, 1.0 - drop
        parts.append(Part([side], walls.texture, random.chance(0.4), roundness=0.0, tone=random.between(0.45, 0.85)))
    roof = _roof(make, half, top)
    return Part([], parts=[*parts, *roof])


def _roof(make: Maker, half: float, top: float) -> list[Part]:
    random = make.random
    form = random.weighted({"flat": 2, "gable": 2, "dome": 0.6})
    if form == "flat":
        return []
    if form == "gable":
        outline = rectangle(-half * 1.1, -1.0, half * 1.1, top)
        inset = half * random.between(0.3, 1.1)
        outline[0, 0], outline[1, 0] = -half * 1.1 + inset, half * 1.1 - inset
        outline[:2, 1] = max(-1.0, top - random.between(0.2, 0.8))
    else:
        outline = ellipse(0, top, half * 0.9, min(1.0 + top + 0.05, half))
    return [Part([outline], make.surface("wall", 1.0), random.chance(0.7), roundness=0.2 if form == "gable" else 0.8)]


def _windows(make: Maker, half: float, top: float) -> list[Part]:
    random = make.random
    if random.chance(0.25):
        return []
    columns, rows = random.integer(1, 5), random.integer(1, 6)
    glass, masked = make.surface("water", 0.3), random.chance(0.4)
    cell_x, cell_y = 2 * half / columns, (0.85 - top) / rows
    wide, tall = random.between(0.25, 0.4) * cell_x, random.between(0.22, 0.42) * cell_y
    arched = random.chance(0.2)
    panes: list[Outline] = []
    for row in range(rows):
        for column in range(columns):
            x, y = -half + (column + 0.5) * cell_x, top + (row + 0.55) * cell_y
            panes.append(
                superellipse(x, y, wide, tall, 1) if arched else rectangle(x - wide, y - tall, x + wide, y + tall)
            )
    if masked:
        return [Part([pane], glass, True, inside=True, roundness=0.0) for pane in panes]
    return [Part(panes, glass, inside=True, roundness=0.0)]


def box(make: Maker) -> Part:
    """Return a box of which three faces are seen."""
    random = make.random
    x, y = random.between(-0.4, 0.4), random.between(-0.5, -0.1)
    left, right, low = -random.between(0.5, 1.0), random.between(0.5, 1.0), random.between(0.55, 0.9)
    corner, back = (x, y), (x + left + right, y - random.between(0.2, 0.5))
    upper_left, upper_right = (left, y - random.between(0.05, 0.3)), (right, y - random.between(0.05, 0.3))
    bottom = (x, low)
    faces = [
        [upper_left, corner, bottom, (left, upper_left[1] + low - y)],
        [corner, upper_right, (right, upper_right[1] + low - y), bottom],
        [upper_left, back, upper_right, corner],
    ]
    texture, masked = make.main(random.choice(["paint", "cloth", "wood", "wall"])), random.chance(0.5)
    own = random.chance(0.3)
    tones = [random.between(0.5, 0.9), random.between(0.75, 1.1), random.between(1.0, 1.3)]
    parts = [
        Part([_polygon(face)], make.surface("paint", 1.0) if own else texture, masked, roundness=0.0, tone=tone)
        for face, tone in zip(faces, tones, strict=True)
    ]
    return Part([], parts=parts)


def _polygon(points: list[tuple[float, float]]) -> Outline:
    return np.array(points, dtype=float)


def vehicle(make: Maker) -> Part:
    """Return a car, a van or a cart with its windows and wheels."""
    random = make.random
    paint, masked = make.main("paint"), random.chance(0.6)
    roof, front, rear = random.between(-0.7, -0.15), random.between(0.3, 0.9), random.between(-0.95, -0.5)
    body = smoothed(rectangle(-1.2, 0.1, 1.2, 0.75), 1)
    cabin = rectangle(rear, roof, front, 0.25)
    cabin[0, 0] += random.between(0.0, 0.3)
    cabin[1, 0] -= random.between(0.1, 0.4)
    windows = rectangle(rear + 0.18, roof + 0.08, front - 0.2, 0.12)
    windows[0, 0] += 0.12
    windows[1, 0] -= 0.2
    glass = Part([windows], make.surface("water", 0.5), masked, roundness=0.1, inside=True)
    size = random.between(0.17, 0.3)
    wheels = [_wheel(make, x, 1.0 - size, size, masked) for x in (-0.7, random.between(0.55, 0.8))]
    shell = Part([body, smoothed(cabin, 1)], paint, roundness=0.4, gloss=random.between(0, 0.5), parts=[glass])
    return Part([], parts=[shell, *wheels])


def _wheel(make: Maker, x: float, y: float, size: float, masked: bool) -> Part:
    hub = Part([ellipse(x, y, size * 0.5, size * 0.5)], make.surface("paint", 0.2), roundness=0.2)
    tyre = make.surface("paint", 0.3, (35.0, 35.0, 37.0))
    return Part([ellipse(x, y, size, size)], tyre, masked, roundness=0.3, parts=[hub])


def boat(make: Maker) -> Part:
    """Return a boat, mostly with a sail."""
    random = make.random
    hull = rectangle(-1.0, 0.5, random.between(0.8, 1.2), 0.95)
    hull[2, 0] -= random.between(0.1, 0.4)
    hull[3, 0] += random.between(0.1, 0.4)
    parts = [
        Part([smoothed(hull, 1)], make.main("paint"), random.chance(0.6), roundness=0.5, parts=make.marks("paint", 0.3))
    ]
    if random.chance(0.7):
        sail = irregular_polygon(random, 3) * (0.6, 0.8) + (0.1, -0.25)
        mast = limb([(0.0, 0.6), (0.0, -1.0)], [0.025, 0.015])
        parts = [
            Part(mast, make.surface("wood", 0.3)),
            Part([sail], make.surface("cloth", 1.0), True, roundness=0.3),
            *parts,
        ]
    return Part([], parts=parts)


def furniture(make: Maker) -> Part:
    """Return a table, a chair, a bench: a board on legs."""
    random = make.random
    texture, masked = make.main("wood"), random.chance(0.3)
    height, leg, half = random.between(-0.4, 0.4), random.between(0.03, 0.09), random.between(0.6, 1.0)
    legs = [
        capsule((x, height), (x + random.signed(0.1), 0.97), leg, leg * 0.8)
        for x in (-half + leg, half - leg, -half * 0.6, half * 0.6)
    ]
    board = rectangle(-half, height - random.between(0.06, 0.3), half, height + 0.08)
    board[0, 0] += random.between(0, 0.3)
    board[1, 0] -= random.between(0, 0.3)
    parts = [Part(legs, texture, masked, roundness=0.4, tone=0.8), Part([board], texture, masked, roundness=0.2)]
    if random.chance(0.4):
        back = rectangle(-half, -1.0, -half + random.between(0.15, 2 * half), height)
        parts.insert(0, Part([smoothed(back, random.integer(0, 1))], make.surface("cloth", 1.0), masked, roundness=0.3))
    return Part([], parts=parts)


def panel(make: Maker) -> Part:
    """Return a picture, a sign, a window, a door, a book: a frame around something."""
    random = make.random
    wide, tall, edge = random.between(0.4, 1.0), random.between(0.4, 1.0), random.between(0.04, 0.2)
    inner = Part(
        [rectangle(-wide + edge, -tall + edge, wide - edge, tall - edge)],
        make.surface(random.choice(["sky", "plants", "cloth", "paint"]), 1.0),
        random.chance(0.4),
        roundness=0.0,
        parts=make.marks("cloth", 0.4),
    )
    return Part([rectangle(-wide, -tall, wide, tall)], make.main("wood"), roundness=0.1, parts=[inner])
