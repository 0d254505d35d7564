"""Things that are little more than a shape and a surface."""

from edge_sam.synthesis.maker import Maker
from edge_sam.synthesis.outlines import (
    blob,
    capsule,
    ellipse,
    irregular_polygon,
    lathe,
    leaf,
    limb,
    rectangle,
    roughened,
    smoothed,
    star,
    superellipse,
)
from edge_sam.synthesis.things import Part


def vessel(make: Maker) -> Part:
    """Return a bottle, a vase, a cup, a tower of a chess set."""
    random = make.random
    texture = make.main(random.choice(["paint", "cloth", "wood", "stone"]))
    part = Part([lathe(random, random.integer(3, 7))], texture, roundness=0.9, gloss=random.between(0.0, 0.8))
    if random.chance(0.4):  # a label or a glaze
        low, band = random.between(-0.8, 0.6), random.between(0.1, 0.4)
        part.parts.append(
            Part(
                [rectangle(-1, low, 1, low + band)],
                make.surface("cloth", 0.5),
                random.chance(0.6),
                inside=True,
                roundness=0.5,
            )
        )
    if random.chance(0.35):  # a handle
        handle = Part([ellipse(0.6, 0.0, 0.35, 0.4)], texture, holes=[ellipse(0.6, 0.0, 0.25, 0.28)])
        return Part([], parts=[handle, part])
    return part


def ring(make: Maker) -> Part:
    """Return a ring or a wheel; what is seen through it is not part of it."""
    random = make.random
    share, flat = random.between(0.45, 0.85), random.between(0.4, 1.0)
    squareness = random.weighted({0: 4, 1: 1, 2: 1})
    spokes = [capsule((-0.8, 0), (0.8, 0), 0.05, 0.05), capsule((0, -flat * 0.8), (0, flat * 0.8), 0.05, 0.05)]
    rim = Part(
        [superellipse(0, 0, 1, flat, squareness)],
        make.main("paint"),
        holes=[superellipse(0, 0, share, flat * share, squareness)],
        roundness=0.7,
        gloss=random.between(0, 0.4),
    )
    return Part([], parts=[rim, *([Part(spokes, rim.texture)] if random.chance(0.3) else [])])


def tool(make: Maker) -> Part:
    """Return a handle with a head: a brush, a spoon, an axe, a lamp post."""
    random = make.random
    head = blob(random) * random.between(0.2, 0.4) + (random.signed(0.15), -0.7)
    handle = capsule((0, -0.6), (random.signed(0.2), 0.95), random.between(0.03, 0.1), random.between(0.03, 0.1))
    masked = random.chance(0.4)
    return Part(
        [],
        parts=[
            Part([handle], make.surface("wood", 0.5), masked, roundness=0.5),
            Part([head], make.main("paint"), masked, roundness=0.5, gloss=random.between(0, 0.6)),
        ],
    )


def pole(make: Maker) -> Part:
    """Return something long and thin: a pole, a stick, a rope."""
    random = make.random
    width = random.between(0.015, 0.06)
    bend = random.signed(0.15) if random.chance(0.5) else 0.0
    return Part(limb([(0, -1.0), (bend, 0.0), (0, 1.0)], [width] * 3), make.main("wood"), roundness=0.6)


def stone(make: Maker) -> Part:
    """Return a rock, a heap, a loaf."""
    random = make.random
    outline = irregular_polygon(random, random.integer(4, 8)) * (1.0, random.between(0.5, 1.0))
    outline = roughened(random, smoothed(outline, random.integer(0, 2)), random.between(0.02, 0.2), 2)
    parts = make.marks("stone", 0.2)
    for _ in range(random.weighted({0: 3, 1: 2, 2: 1})):  # facets
        facet = irregular_polygon(random, 4) * random.between(0.3, 0.7) + make.off_center()
        parts.append(Part([facet], make.surface("stone", 1.0), inside=True, tone=random.between(0.6, 1.3)))
    return Part([outline], make.main("stone"), roundness=random.between(0.3, 1.0), parts=parts)


def ball(make: Maker) -> Part:
    """Return a ball, a fruit, an egg."""
    random = make.random
    texture = make.main(random.choice(["paint", "cloth", "plants", "fur"]))
    outline = ellipse(0, 0, 1.0, random.between(0.65, 1.0), random.angle())
    parts = make.marks("cloth", 0.3) if random.chance(0.4) else []
    if random.chance(0.2):
        parts.append(Part([leaf((0, -0.7), (random.signed(0.6), -1.2), 0.3)], make.surface("plants", 0.4), True))
    return Part([outline], texture, roundness=1.0, gloss=random.between(0.0, 0.9), parts=parts)


def shape(make: Maker) -> Part:
    """Return a bare shape of any kind and surface."""
    random = make.random
    outline = random.choice(
        [
            blob(random, random.between(0.1, 0.6), random.integer(3, 8)),
            irregular_polygon(random, random.integer(3, 9)),
            superellipse(0, 0, 1, random.between(0.2, 1), random.integer(0, 3)),
            star(random.integer(4, 12), random.between(0.4, 0.85)),
            smoothed(irregular_polygon(random, random.integer(3, 7)), 2),
        ]
    )
    if random.chance(0.2):
        outline = roughened(random, outline, random.between(0.05, 0.3), 2)
    texture = make.main(random.choice(["paint", "cloth", "cloth", "fur", "wood", "stone", "plants", "soil", "wall"]))
    return Part(
        [outline],
        texture,
        roundness=random.unit(),
        gloss=random.between(0, 0.5) * random.unit(),
        parts=make.marks("cloth"),
    )
