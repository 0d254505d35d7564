"""Draws the texture of a surface from a material."""

from edge_sam.synthesis.outlines import circle
from edge_sam.synthesis.palettes import MATERIALS, Color, draw_color, near, shade_ramp, two_color_ramp
from edge_sam.synthesis.randomness import Randomness
from edge_sam.synthesis.textures import Texture

_SHARP = frozenset({"stripes", "checks", "spots", "patches", "windows", "bricks"})


def draw_texture(
    random: Randomness,
    material: str,
    size: float,
    color: Color | None = None,
    horizon: float | None = None,
    direction: tuple[float, float] | None = None,
) -> Texture:
    """Return a texture for a surface about ``size`` pixels large.

    Args:
        random: is drawn from.
        material: a key of ``MATERIALS``.
        size: of the surface, in pixels; features are smaller.
        color: of the surface; default: one of the material's.
        horizon: see :class:`Texture`.
        direction: of the pattern; default: any for most patterns, upright for buildings.
    """
    kind = MATERIALS[material]
    pattern = random.weighted(kind.patterns)
    base = color if color is not None else draw_color(random, kind)
    contrast = random.between(*kind.contrast)
    if random.chance(kind.second_color) or pattern in ("checks", "windows"):
        other = draw_color(random, kind) if random.chance(0.4) else near(random, base, 80.0)
        ramp = two_color_ramp(random, base, other, 0.9 if pattern in _SHARP else random.between(0.0, 0.7))
    else:
        ramp = shade_ramp(random, base, contrast)
    if direction is None:
        upright = material == "wall" or pattern in ("bricks", "windows")
        direction = (1.0, 0.0) if upright else _direction(random)
    strokes = pattern == "strokes" or (pattern in ("clouds", "rough", "ridges") and random.chance(0.25))
    return Texture(
        pattern=pattern,
        ramp=ramp,
        wavelength=_wavelength(random, pattern, size),
        direction=direction,
        stretch=random.between(3.0, 10.0) if strokes else random.between(0.7, 1.5),
        bend=0.0 if material in ("wall", "paint") else random.between(0.0, 0.7),
        grain=random.between(0.0, 0.8) * random.unit(),
        grain_size=random.between(1.0, 4.0),
        drift=random.between(0.0, 0.8) * random.unit(),
        offset=(random.below(1 << 24), random.below(1 << 24)),
        horizon=horizon,
    )


def _direction(random: Randomness) -> tuple[float, float]:
    cosine, sine = circle(64)[random.below(64)]
    return float(cosine), float(sine)


def _wavelength(random: Randomness, pattern: str, size: float) -> float:
    if pattern in ("clouds", "rough", "strokes", "ridges"):  # a wavelength is 128 pixels of the field, detail to 1
        return random.log_between(16.0, 180.0)
    if pattern == "smooth":
        return random.between(0.4, 1.2) * size
    if pattern == "speckle":
        return random.between(1.5, 5.0)
    return max(random.log_between(0.04, 0.4) * size, 3.5)
