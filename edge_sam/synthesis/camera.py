"""What a camera does to a scene: exposure, colour cast, vignette, lens blur and noise."""

import numpy as np

from edge_sam.synthesis.canvas import shaded
from edge_sam.synthesis.fields import SIDE, fields
from edge_sam.synthesis.randomness import Randomness
from edge_sam.synthesis.rasterizing import blurred
from edge_sam.synthesis.textures import Picture


def photograph(picture: Picture, random: Randomness, scale: float) -> Picture:
    """Return the picture as a camera would have taken it.

    Args:
        picture: ``(h, w, 3)``, the scene.
        random: is drawn from.
        scale: long side / 512.
    """
    if random.chance(0.13):
        picture = _dappled(picture, random)
    picture = _developed(picture, random)
    if random.chance(0.12):
        picture = _moved(picture, random, scale)
    radius = random.between(0.0, 0.35) if random.chance(0.8) else random.between(0.35, 1.5)
    picture = blurred(picture, radius * max(scale, 0.5))
    return _noisy(picture, random)


def _dappled(picture: Picture, random: Randomness) -> Picture:
    """Lay shadows of what is outside of the picture over it."""
    height, width = picture.shape[:2]
    field = fields().smooth if random.chance(0.6) else fields().clouds
    start, step = random.below(SIDE), random.integer(1, 3)
    rows = (np.arange(height) * step // 2 + start) & (SIDE - 1)
    columns = (np.arange(width) * step // 2 + random.below(SIDE)) & (SIDE - 1)
    noise = field[np.ix_(rows, columns)].astype(np.int16)
    threshold, hardness, depth = random.integer(60, 190), random.integer(1, 7), random.integer(20, 70)
    shadow = np.clip((noise - threshold) * hardness, 0, 255).astype(np.uint16)
    return shaded(picture, (128 - ((shadow * np.uint16(depth)) >> 8)).astype(np.uint8))


def _developed(picture: Picture, random: Randomness) -> Picture:
    """Change saturation, exposure, contrast and colour balance, and darken the corners."""
    height, width = picture.shape[:2]
    colors = picture.astype(np.int16)
    grey = ((colors[..., 0] * 5 + colors[..., 1] * 9 + colors[..., 2] * 2) >> 4)[..., None]
    saturation = 0 if random.chance(0.03) else int(random.between(0.5, 1.25) * 64)
    colors = grey + (((colors - grey) * np.int16(saturation)) >> 6)
    values = np.clip(colors, 0, 255).astype(np.uint8)
    for channel, table in enumerate(_tone_curves(random, int(grey.sum(dtype=np.int64)) // grey.size)):
        values[..., channel] = np.take(table, values[..., channel])
    if random.chance(0.4):
        strength = random.between(0.05, 0.45)
        rows = (np.arange(height) - height * 0.5) / (height * 0.72)
        columns = (np.arange(width) - width * 0.5) / (width * 0.72)
        fall = 1.0 - strength * ((rows * rows)[:, None] + (columns * columns)[None])
        values = shaded(values, np.floor(np.clip(fall, 0.0, 1.0) * 128.0).astype(np.uint8))
    return values


def _tone_curves(random: Randomness, brightness: int) -> list[Picture]:
    """Return a table of 256 values for each channel; exposes a picture of this mean brightness as cameras do."""
    exposure = min(max(random.between(80.0, 165.0) / max(brightness, 1), 0.6), 2.2)
    contrast, haze = random.between(0.0, 0.9), random.between(0.0, 40.0) * random.unit() * random.unit()
    tables = []
    for _ in range(3):
        x = np.arange(256) / 255.0 * (exposure * (1.0 + random.signed(0.1)))
        x = np.minimum(x, 1.0)
        curve = x + (x * x * (3.0 - 2.0 * x) - x) * contrast
        tables.append(np.floor(np.clip(haze + curve * (255.0 - haze), 0.0, 255.0)).astype(np.uint8))
    return tables


def _moved(picture: Picture, random: Randomness, scale: float) -> Picture:
    """Average over a short straight movement."""
    steps = random.integer(2, 5)
    right, down = random.signed(1.5) * scale, random.signed(1.0) * scale
    height, width = picture.shape[:2]
    total = np.zeros(picture.shape, np.uint16)
    for step in range(steps):
        offset = step - (steps - 1) / 2.0
        rows = np.clip(np.arange(height) + int(np.floor(offset * down + 0.5)), 0, height - 1)
        columns = np.clip(np.arange(width) + int(np.floor(offset * right + 0.5)), 0, width - 1)
        total += picture[rows[:, None], columns[None]]
    return (total // np.uint16(steps)).astype(np.uint8)


def _noisy(picture: Picture, random: Randomness) -> Picture:
    """Add sensor noise, of brightness and of colour."""
    height, width = picture.shape[:2]
    strength = int(random.between(0.0, 40.0) * random.unit() * random.unit())
    if strength < 2:
        return picture
    luma = (random.bytes(height, width).astype(np.int16) + random.bytes(height, width) - 255)[..., None]
    chroma = random.bytes(height, width, 3).astype(np.int16) - 128
    noise = (luma * np.int16(strength) >> 8) + (chroma * np.int16(strength) >> 9)
    return np.clip(picture.astype(np.int16) + noise, 0, 255).astype(np.uint8)
