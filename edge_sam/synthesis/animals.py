"""Animals and people."""

from edge_sam.synthesis.maker import Maker
from edge_sam.synthesis.outlines import (
    Outline,
    Point,
    blob,
    ellipse,
    leaf,
    limb,
    rectangle,
    roughened,
    smoothed,
    smoothed_line,
    transformed,
)
from edge_sam.synthesis.randomness import Randomness
from edge_sam.synthesis.textures import Texture
from edge_sam.synthesis.things import Part


def quadruped(make: Maker) -> Part:
    """Return an animal on four legs, seen from the side."""
    random = make.random
    coat = make.main("fur")
    legs_far = coat if random.chance(0.7) else make.surface("fur", 0.5)
    length, thick = random.between(0.55, 0.95), random.between(0.22, 0.42)
    middle = random.between(-0.3, 0.15)
    leg_width, fringe = random.between(0.045, 0.1), random.between(0.0, 0.06) * random.unit()
    body = smoothed(roughened(random, ellipse(0, middle, length, thick), 0.06, 1), 1)
    masked = random.chance(0.35)
    far = [_leg(random, x, middle, leg_width * 0.9) for x in (-length * 0.6, length * 0.7)]
    near = [_leg(random, x, middle, leg_width) for x in (-length * 0.75, length * 0.55)]
    neck_end = (length + random.between(0.0, 0.35), middle - random.between(0.1, 0.75))
    neck = limb([(length * 0.7, middle), neck_end], [thick * 0.75, thick * random.between(0.35, 0.6)])
    head = _head(make, neck_end, thick * random.between(0.55, 0.85), coat if random.chance(0.75) else None, masked)
    tail_end = (-length - random.between(0.1, 0.4), middle + random.signed(0.5))
    tail = limb([(-length * 0.9, middle - 0.1), (-length - 0.1, middle), tail_end], [0.07, 0.05, 0.03])
    trunk = Part([body, *neck, *tail], coat, roundness=0.8, fringe=fringe, parts=_coat_marks(make, middle, thick))
    return Part(
        [],
        parts=[
            *[Part(leg, legs_far, masked and random.chance(0.5), roundness=0.5, tone=0.7) for leg in far],
            *[Part(leg, coat, masked and random.chance(0.5), roundness=0.5) for leg in near],
            trunk,
            head,
        ],
    )


def _leg(random: Randomness, x: float, top: float, width: float) -> list[Outline]:
    knee = (x + random.signed(0.14), top + (1.0 - top) * 0.55)
    foot = (x + random.signed(0.2), 1.0 - width)
    return limb([(x, top), knee, foot, (foot[0] + width, foot[1])], [width * 1.8, width, width * 0.75, width * 0.8])


def _head(make: Maker, at: Point, size: float, coat: Texture | None, masked: bool) -> Part:
    random = make.random
    texture = make.surface("fur", 0.6) if coat is None else coat
    x, y = at
    skull = ellipse(x, y, size, size * 0.85)
    snout = limb([(x, y), (x + size * random.between(0.9, 1.8), y + size * 0.4)], [size * 0.6, size * 0.35])
    ears = [
        leaf(
            (x - size * 0.3, y - size * 0.5),
            (x - size * random.between(0.1, 0.9), y - size * random.between(1, 2)),
            0.4,
        ),
        leaf((x + size * 0.3, y - size * 0.5), (x + size * 0.2, y - size * random.between(1, 2)), 0.4),
    ]
    eye = make.eye(x + size * 0.35, y - size * 0.15, size * 0.14)
    return Part([skull, *snout, *ears], texture, masked, roundness=0.7, parts=[eye])


def _coat_marks(make: Maker, middle: float, thick: float) -> list[Part]:
    if make.random.chance(0.3):  # a paler belly
        pale = make.surface("fur", 1.0)
        return [Part([ellipse(0, middle + thick, 0.9, thick * 0.6)], pale, inside=True, fringe=0.05)]
    return make.marks("fur", 0.25) if make.random.chance(0.3) else []


def person(make: Maker) -> Part:
    """Return a person, standing, walking or waving."""
    random = make.random
    skin, top, bottom = make.surface("skin", 0.4), make.main("cloth"), make.surface("cloth", 1.0)
    masked, shoulder, hip = random.chance(0.6), random.between(0.17, 0.26), random.between(0.0, 0.15)
    stride = random.between(0.03, 0.3)
    trousers = [
        outline
        for side in (-1, 1)
        for outline in limb(
            [(side * 0.09, hip), (side * stride * 0.7, (1 + hip) / 2), (side * stride, 0.94)], [0.12, 0.09, 0.06]
        )
    ]
    if random.chance(0.25):  # a skirt or a coat
        trousers.append(smoothed(rectangle(-shoulder, hip - 0.1, shoulder, random.between(0.4, 0.9)), 1))
    shoes = [ellipse(side * stride + 0.04, 0.95, 0.11, 0.05) for side in (-1, 1)]
    torso = smoothed(roughened(random, rectangle(-shoulder, -0.62, shoulder, hip + 0.08), 0.08, 1), 1)
    arms = [_arm(random, side, shoulder) for side in (-1.0, 1.0)]
    sleeves = [outline for arm in arms for outline in arm[:2]]
    hands = [arm[2] for arm in arms]
    hair_height = random.between(-0.98, -0.86)
    face = [ellipse(0, -0.8, 0.11, 0.14)]
    features = [ellipse(x, y, rx, ry) for x, y, rx, ry in ((-0.045, -0.82, 0.018, 0.014), (0.045, -0.82, 0.018, 0.014))]
    dark = make.surface("paint", 0.1, (50.0, 35.0, 32.0))
    features.append(ellipse(0.0, -0.72, random.between(0.02, 0.05), 0.012))
    hair = Part(
        [ellipse(0, hair_height, 0.13, 0.1)], make.surface("fur", 0.3), masked and random.chance(0.5), roundness=0.4
    )
    head = Part(
        [*face, *limb([(0, -0.75), (0, -0.6)], [0.05, 0.06])],
        skin,
        masked,
        roundness=0.5,
        parts=[Part(features, dark, inside=True, roundness=0.0), hair],
    )
    clothes = [
        Part(shoes, make.surface("cloth", 0.2), masked and random.chance(0.5)),
        Part(trousers, bottom, masked, roundness=0.5),
        Part(hands, skin),
        Part(
            [torso, *sleeves], top, masked, roundness=0.6, parts=make.marks("cloth", 0.2) if random.chance(0.3) else []
        ),
    ]
    return Part([], parts=[*clothes, head])


def _arm(random: Randomness, side: float, shoulder: float) -> list[Outline]:
    start = (side * (shoulder - 0.03), -0.55)
    elbow = (side * (shoulder + random.between(0.0, 0.2)), -0.55 + random.between(-0.1, 0.32))
    wrist = (elbow[0] + random.signed(0.25), elbow[1] + random.between(-0.25, 0.3))
    pieces = limb([start, elbow, wrist], [0.08, 0.065, 0.05])
    return [*pieces, ellipse(wrist[0], wrist[1], 0.055, 0.055)]


def bird(make: Maker) -> Part:
    """Return a bird on two thin legs or in flight."""
    random = make.random
    coat, wing = make.main("fur"), make.surface("fur", 0.8)
    body = transformed(blob(random, 0.12, 3), 0.55, random.between(-0.5, 0.2))
    head_x, head_y = random.between(0.35, 0.6), random.between(-0.65, -0.25)
    neck = limb([(0.2, -0.1), (head_x, head_y)], [0.25, random.between(0.1, 0.18)])
    head = ellipse(head_x, head_y, 0.19, 0.17)
    beak = Part(
        [leaf((head_x + 0.12, head_y), (head_x + random.between(0.3, 0.6), head_y + 0.06), 0.2)],
        make.surface("paint", 0.2),
    )
    tail = leaf((-0.3, 0.0), (-random.between(0.8, 1.2), random.between(-0.2, 0.4)), 0.25)
    parts = [
        Part(
            [body, *neck, head, tail],
            coat,
            roundness=0.7,
            fringe=0.02,
            parts=[make.eye(head_x + 0.05, head_y - 0.03, 0.035)],
        ),
        beak,
    ]
    masked = random.chance(0.35)
    if random.chance(0.5):
        legs = [limb([(x, 0.25), (x + 0.05, 0.65), (x, 0.98)], [0.05, 0.03, 0.025]) for x in (-0.08, 0.1)]
        parts.insert(0, Part([outline for leg in legs for outline in leg], make.surface("paint", 0.3)))
        parts.append(Part([leaf((0.2, -0.1), (-0.6, 0.15), 0.35)], wing, masked, roundness=0.5))
    else:
        tip = (-random.between(0.2, 0.7), -random.between(0.7, 1.1))
        parts.append(Part([leaf((0.15, 0.0), tip, 0.3)], wing, masked, roundness=0.3))
        parts.insert(0, Part([leaf((0.15, 0.0), (random.between(0.3, 0.9), -1.0), 0.25)], wing, tone=0.75))
    return Part([], parts=parts)


def fish(make: Maker) -> Part:
    """Return a fish."""
    random = make.random
    scales, fins = make.main("cloth"), make.surface("cloth", 0.6)
    tall = random.between(0.22, 0.6)
    body = leaf((0.95, 0.0), (-0.75, 0.0), tall)
    tail = smoothed(blob(random, 0.5, 4) * (0.25, 0.55) + (-0.85, 0.0), 0)
    masked = random.chance(0.35)
    fin = leaf((0.2, -tall * 0.6), (-0.4, -tall * random.between(1.2, 2.0)), 0.3)
    return Part(
        [],
        parts=[
            Part([tail, fin], fins, masked),
            Part(
                [body], scales, roundness=0.7, gloss=0.3, parts=[make.eye(0.68, -0.06, 0.05), *make.marks("cloth", 0.3)]
            ),
        ],
    )


def snake(make: Maker) -> Part:
    """Return something long that winds: a snake, a hose, a root."""
    random = make.random
    x, points = -1.0, []
    while x < 1.0:
        points.append((x, random.signed(0.5)))
        x += random.between(0.3, 0.6)
    width = random.between(0.05, 0.13)
    curve = smoothed_line(points)
    widths = [width * (0.35 + 0.65 * min(1.0, 4.0 * index / len(curve))) for index in range(len(curve))]
    return Part(limb(curve, widths), make.main(random.choice(["fur", "cloth", "wood"])), roundness=0.8)
