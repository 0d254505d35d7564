"""What builders of things share."""

from edge_sam.synthesis.outlines import blob, ellipse, transformed
from edge_sam.synthesis.palettes import MATERIALS, Color, draw_color
from edge_sam.synthesis.randomness import Randomness
from edge_sam.synthesis.surfaces import draw_texture
from edge_sam.synthesis.textures import Texture
from edge_sam.synthesis.things import Part


class Maker:
    """Draws surfaces and marks for one thing.

    Args:
        random: is drawn from.
        size: pixels a unit of the thing.
        color: of its main surface; None for one of the material's. The colour of what is behind makes it hard to see.
    """

    def __init__(self, random: Randomness, size: float, color: Color | None = None) -> None:
        self.random, self.size, self._color = random, size, color

    def main(self, material: str) -> Texture:
        """Return the texture of the main surface."""
        color, self._color = self._color, None
        return self.surface(material, 2.0, color)

    def surface(self, material: str, extent: float, color: Color | None = None) -> Texture:
        """Return a texture for a surface ``extent`` units large."""
        return draw_texture(self.random, material, max(self.size * extent, 4.0), color)

    def color(self, material: str) -> Color:
        """Return a colour of a material."""
        return draw_color(self.random, MATERIALS[material])

    def marks(self, material: str, masked: float = 0.4) -> list[Part]:
        """Return patches for a surface, mostly off its centre: spots, labels, stains."""
        random = self.random
        count = random.weighted({0: 5, 1: 2, 2: 2, 3: 1, 5: 0.7})
        texture = self.surface(material, 0.5)
        is_masked = random.chance(masked)
        parts = []
        for _ in range(count):
            x, y = self.off_center()
            size = random.between(0.08, 0.3)
            outline = transformed(blob(random), size, random.angle(), (x, y))
            parts.append(Part([outline], texture, masked=is_masked, inside=True, roundness=0.1))
        return parts

    def off_center(self) -> tuple[float, float]:
        """Return a place 0.35 to 0.8 units from the origin."""
        while True:
            x, y = self.random.signed(0.8), self.random.signed(0.8)
            if 0.12 < x * x + y * y < 0.64:
                return x, y

    def eye(self, x: float, y: float, radius: float) -> Part:
        """Return an eye."""
        texture = self.surface("paint", radius * 2, (25.0, 22.0, 20.0))
        return Part([ellipse(x, y, radius, radius)], texture, inside=True, roundness=0.0)
