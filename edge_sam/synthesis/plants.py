"""Plants."""

from edge_sam.synthesis.maker import Maker
from edge_sam.synthesis.outlines import Outline, blob, circle, ellipse, leaf, limb, superellipse, transformed
from edge_sam.synthesis.things import Part


def tree(make: Maker) -> Part:
    """Return a tree in leaf."""
    random = make.random
    masked = random.chance(0.5)
    trunk = limb([(random.signed(0.1), 1.0), (random.signed(0.1), 0.0), (0.0, -0.4)], [0.1, 0.07, 0.04])
    crown_height, crown_width = random.between(0.4, 0.7), random.between(0.35, 0.9)
    if random.chance(0.25):  # a conifer
        levels = [leaf((0, -1.0 + 0.2 * level), (0, 0.1 + 0.25 * level), 0.2 + 0.08 * level) for level in range(3)]
    else:
        levels = [
            transformed(blob(random), random.between(0.3, 0.6), 0.0, (random.signed(0.4), random.signed(0.25)))
            for _ in range(random.integer(2, 6))
        ]
        levels = [level * (crown_width, crown_height) / 0.6 + (0, -1.0 + crown_height) for level in levels]
    crown = Part(levels, make.main("plants"), masked, roundness=0.5, fringe=random.between(0.02, 0.12))
    return Part([], parts=[Part(trunk, make.surface("wood", 0.5), masked, roundness=0.6), crown])


def bare_tree(make: Maker) -> Part:
    """Return a tree without leaves, or a branch."""
    random = make.random
    outlines: list[Outline] = []

    def grow(x: float, y: float, dx: float, dy: float, width: float, level: int) -> None:
        end = (x + dx, y + dy)
        outlines.extend(limb([(x, y), end], [width, width * 0.7]))
        if level:
            for _ in range(random.integer(2, 3)):
                turn, shorter = random.signed(0.9), random.between(0.55, 0.85)
                grow(*end, (dx - dy * turn) * shorter, (dy + dx * turn) * shorter, width * 0.6, level - 1)

    grow(0.0, 1.0, random.signed(0.1), -random.between(0.5, 0.8), random.between(0.05, 0.1), random.integer(2, 3))
    return Part(outlines, make.main("wood"), roundness=0.5)


def bush(make: Maker) -> Part:
    """Return a bush, a tuft, a coral: a mass with a ragged edge."""
    random = make.random
    outlines = [
        transformed(blob(random), random.between(0.35, 0.7), 0.0, (random.signed(0.5), random.between(0.0, 0.55)))
        for _ in range(random.integer(1, 4))
    ]
    return Part(outlines, make.main("plants"), roundness=0.5, fringe=random.between(0.03, 0.2))


def leaves(make: Maker) -> Part:
    """Return a plant of blades or leaves that start at one point."""
    random = make.random
    texture = make.main("plants")
    count, width, masked = random.integer(3, 11), random.between(0.06, 0.3), random.chance(0.3)
    parts = []
    for _ in range(count):
        tip = (random.signed(1.0), random.between(-1.0, 0.5))
        parts.append(
            Part([leaf((random.signed(0.08), 0.95), tip, width)], texture, masked, tone=random.between(0.7, 1.2))
        )
    return Part([], parts=parts)


def flower(make: Maker) -> Part:
    """Return a flower, sometimes on its stem."""
    random = make.random
    petals, count = make.main("cloth"), random.integer(4, 12)
    radius = random.between(0.45, 0.7)
    blades = [
        leaf((0.0, 0.0), (float(x) * radius, float(y) * radius), random.between(0.2, 0.5)) for x, y in circle(count)
    ]
    eye = ellipse(0, 0, radius * 0.28, radius * 0.28)
    head = [
        Part(blades, petals, True, roundness=0.4),
        Part([eye], make.surface("cloth", 0.3), random.chance(0.3), roundness=0.5),
    ]
    if random.chance(0.5):
        return Part([], parts=head)
    stem = limb([(0, 0), (random.signed(0.2), 0.5), (random.signed(0.2), 1.0)], [0.04, 0.04, 0.05])
    return Part([], parts=[Part(stem, make.surface("plants", 0.5), roundness=0.4), *head])


def mushroom(make: Maker) -> Part:
    """Return a mushroom, a lamp, a parasol: a cap on a stalk."""
    random = make.random
    wide, top = random.between(0.5, 1.0), random.between(-0.95, -0.4)
    cap = superellipse(0, top + 0.3, wide, random.between(0.2, 0.4), random.integer(0, 1))
    stalk = limb([(0, top + 0.4), (random.signed(0.1), 0.9)], [random.between(0.05, 0.2), random.between(0.05, 0.25)])
    masked = random.chance(0.6)
    upper = Part(
        [cap], make.main("cloth"), masked, roundness=0.8, gloss=random.between(0, 0.3), parts=make.marks("cloth", 0.3)
    )
    return Part([], parts=[Part(stalk, make.surface("fur", 0.5), masked, roundness=0.7), upper])
