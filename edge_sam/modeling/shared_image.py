"""The image as each of many prompts sees it, behind each layer of the decoder, without making it for any of them.

Attention from image to tokens adds a sum of few rows to each position: one row for each head and token. So behind
every layer the image of a prompt is

    scale * base + weights^T @ rows

with a base (P, C) that all prompts share and a few dozen rows of each prompt's own. What follows only takes dot
products with it, projects it or normalises it, and all three can be had of base and rows apart: of the base once an
image, of the rows at little cost. P is the number of positions, H of heads, d of channels a head, R of rows.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_sam.modeling.transformer import Attention


@dataclass(frozen=True)
class SharedImage:
    """What the images of all prompts have in common behind one layer.

    Attributes:
        base: (P, C).
        maps: for each layer so far (H, d, C), what makes rows of the values of its attention.
        constants: for each layer so far a row (C,) that is the same for all prompts.
    """

    base: Tensor
    maps: tuple[Tensor, ...] = ()
    constants: tuple[Tensor, ...] = ()

    def plus(self, out_proj: nn.Linear, num_heads: int) -> "SharedImage":
        """Return the image to which an attention's outcome is added; what is new comes last."""
        maps = (*self.maps, torch.unflatten(out_proj.weight.T, 0, (num_heads, -1)))
        if not self.constants:
            return SharedImage(self.base + out_proj.bias, maps)
        *others, last = self.constants  # the last one's weight is 1
        return SharedImage(self.base, maps, (*others, last + out_proj.bias))

    def centred(self) -> "SharedImage":
        """Return the image without the mean over its channels."""
        base, *others = (x - x.mean(dim=-1, keepdim=True) for x in (self.base, *self.maps, *self.constants))
        return SharedImage(base, tuple(others[: len(self.maps)]), tuple(others[len(self.maps) :]))

    def affine(self, norm: nn.LayerNorm) -> "SharedImage":
        """Return the image with a norm's gain, and its bias as another constant."""
        base, *others = (x * norm.weight for x in (self.base, *self.maps, *self.constants))
        count = len(self.maps)
        return SharedImage(base, tuple(others[:count]), (*others[count:], norm.bias))


@dataclass(frozen=True)
class PromptImages:
    """What N prompts make of the shared image.

    Attributes:
        scale: (N, P) factor of the base; None for 1.
        weights: (N, R, P); the rows of a layer's attention, head by head, then its constant.
        values: (N, H, T, d) of each layer's attention.
    """

    scale: Tensor | None
    weights: Tensor
    values: tuple[Tensor, ...] = ()

    def rows(self, image: SharedImage) -> Tensor:
        """Return the rows (N, R, C)."""
        return self._of_rows(
            [(values @ to_channels).flatten(1, 2) for values, to_channels in zip(self.values, image.maps, strict=True)],
            image.constants,
            image.base.shape[1],
        )

    def rows_like(self, maps: tuple[Tensor, ...], constants: tuple[Tensor, ...]) -> Tensor:
        """Return dot products (N, R, P) of rows and base, out of those of maps (H, d, P) and constants (P,)."""
        found = [_by_head(values, of_map) for values, of_map in zip(self.values, maps, strict=True)]
        return self._of_rows(found, constants, self.weights.shape[2])

    def chosen(self, prompts: Tensor) -> "PromptImages":
        """Return the images of some prompts, by a bool (N,)."""
        if bool(prompts.all()):
            return self
        scale = None if self.scale is None else self.scale[prompts]
        return PromptImages(scale, self.weights[prompts], tuple(values[prompts] for values in self.values))

    def _of_rows(self, blocks: list[Tensor], constants: tuple[Tensor, ...], width: int) -> Tensor:
        number = len(self.weights)
        parts = [self.weights.new_empty(number, 0, width)]
        for index, block in enumerate(blocks):
            parts.append(block)
            if index < len(constants):
                parts.append(constants[index].expand(number, 1, -1))
        return torch.cat(parts, dim=1)


class SharedProjection:
    """Dot products of vectors with a projection of the prompts' images, to which positions were added.

    Args:
        linear: the projection.
        num_heads: H, into which its channels fall.
        image: which is projected.
        pe: positions (P, C).
    """

    def __init__(self, linear: nn.Linear, num_heads: int, image: SharedImage, pe: Tensor) -> None:
        self._weight, self._heads = linear.weight, num_heads
        self._base = self._split(F.linear(image.base, linear.weight)).mT.contiguous()
        self._pe = self._split(linear(pe)).mT.contiguous()
        self._sum = self._base + self._pe if not image.maps else None

    def scores(self, vectors: Tensor, images: PromptImages, rows: Tensor) -> Tensor:
        """Return for vectors (N, H, L, d): (N, H * L, P).

        Args:
            vectors: of each prompt.
            images: of the prompts.
            rows: of these images, (N, R, C).
        """
        if self._sum is not None:
            return _by_head(vectors, self._sum)
        found = _by_head(vectors, self._base, images.scale, self._pe)
        of_rows = self._split(F.linear(rows, self._weight))
        return found.baddbmm_((vectors @ of_rows.mT).flatten(1, 2), images.weights)

    def _split(self, x: Tensor) -> Tensor:
        """Split (..., L, H * d) into (..., H, L, d)."""
        return torch.unflatten(x, -1, (self._heads, -1)).transpose(-3, -2)


class SharedKeys:
    """Attention from tokens to the prompts' images.

    Args:
        attention: its weights.
        image: that is looked at.
        pe: positions (P, C), added to the keys.
    """

    def __init__(self, attention: Attention, image: SharedImage, pe: Tensor) -> None:
        self._attention, self._image = attention, image
        self._keys = SharedProjection(attention.k_proj, attention.num_heads, image, pe)
        self._values = attention.split_heads(F.linear(image.base, attention.v_proj.weight)[None])[0].contiguous()

    def __call__(self, tokens: Tensor, images: PromptImages) -> Tensor:
        """Attend from tokens (N, L, C): (N, L, C)."""
        attention, rows = self._attention, images.rows(self._image)
        vectors = attention.split_heads(attention.q_proj(tokens)) * attention.head_dim**-0.5
        weights = self._keys.scores(vectors, images, rows).softmax(dim=-1)
        number, heads, length, _ = vectors.shape
        of_rows = torch.unflatten(weights @ images.weights.mT, 1, (heads, length))
        of_rows = of_rows @ attention.split_heads(F.linear(rows, attention.v_proj.weight))
        if images.scale is not None:
            weights *= images.scale[:, None]
        weights = torch.unflatten(weights, 1, (heads, length)).transpose(0, 1).flatten(1, 2)
        of_base = torch.unflatten(weights @ self._values, 1, (number, length)).transpose(0, 1)
        summed = (of_base + of_rows).transpose(1, 2).flatten(2) + attention.v_proj.bias  # weights sum to 1
        attended: Tensor = attention.out_proj(summed)
        return attended


class SharedQueries:
    """Attention from the prompts' images to tokens, whose outcome is added, and the norm behind it.

    Args:
        attention: its weights.
        norm: behind the sum.
        image: that looks.
        pe: positions (P, C), added to the queries.

    Attributes:
        image: what comes out.
    """

    def __init__(self, attention: Attention, norm: nn.LayerNorm, image: SharedImage, pe: Tensor) -> None:
        self._attention, self._norm, self._before = attention, norm, image
        self._queries = SharedProjection(attention.q_proj, attention.num_heads, image, pe)
        self._centred = image.plus(attention.out_proj, attention.num_heads).centred()
        base = self._centred.base
        self._squares = base.square().sum(dim=1)
        self._maps_like = tuple(to_channels @ base.T for to_channels in self._centred.maps)
        self._constants_like = tuple(base @ constant for constant in self._centred.constants)
        self.image = self._centred.affine(norm)

    def __call__(self, keys: Tensor, values: Tensor, images: PromptImages) -> PromptImages:
        """Attend to tokens whose keys come of (N, T, C) and whose values of (N, T, C), add and normalise."""
        attention = self._attention
        vectors = attention.split_heads(attention.k_proj(keys)) * attention.head_dim**-0.5
        scores = self._queries.scores(vectors, images, images.rows(self._before))
        weights = torch.unflatten(scores, 1, vectors.shape[1:3]).softmax(dim=2).flatten(1, 2)
        values = attention.split_heads(attention.v_proj(values))
        weights = torch.cat([images.weights, weights, torch.ones_like(weights[:, :1])], dim=1)
        return self._normalised(PromptImages(images.scale, weights, (*images.values, values)))

    def _normalised(self, images: PromptImages) -> PromptImages:
        """Divide by the standard deviation: its square is the mean over channels of (scale * base + sum of rows)^2.

        The last weight is that of the norm's bias, which is added behind the division.
        """
        weights = images.weights[:, :-1]
        rows = images.rows(self._centred)
        products = images.rows_like(self._maps_like, self._constants_like) * 2
        squares = self._squares
        if images.scale is not None:
            products *= images.scale[:, None]
            squares = squares * images.scale.square()
        products.baddbmm_(rows @ rows.mT, weights)
        squares = (squares + products.mul_(weights).sum(dim=1)).clamp(min=0)
        factor = (squares / rows.shape[2] + self._norm.eps).rsqrt()
        weights.mul_(factor[:, None])
        return PromptImages(factor if images.scale is None else images.scale * factor, images.weights, images.values)


def _by_head(vectors: Tensor, shared: Tensor, scale: Tensor | None = None, added: Tensor | None = None) -> Tensor:
    """Return dot products (N, H * L, P) of vectors (N, H, L, d) with ``scale`` (N, P) * ``shared`` + ``added``.

    Args:
        vectors: of each prompt.
        shared: (H, d, P), of all prompts.
        scale: a factor for each prompt and position.
        added: (H, d, P).
    """
    number, _, length, _ = vectors.shape
    flat = vectors.transpose(0, 1).flatten(1, 2)
    found = flat @ shared
    if scale is not None:
        torch.unflatten(found, 1, (number, length)).mul_(scale[:, None])
    if added is not None:
        found.baddbmm_(flat, added)
    return torch.unflatten(found, 1, (number, length)).transpose(0, 1).flatten(1, 2)
