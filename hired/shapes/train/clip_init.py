"""The stock CLIP tower of the embedded model: its configuration and its start.

The start is what makes it trainable in an hour on two cores: cosine filters scaled to unit
variance as patch embedding, a Fourier code of row and column as position embedding, and in every
block heads that begin by looking at one neighbour each (a Fourier code turns a shift into a fixed
linear map). All of these are only initial values; every one of them is trained.
"""

import math

import torch
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from hired.shapes.scenes import PATCH, SIDE, TILE

WIDTH, LAYERS, HEADS, INNER = 192, 6, 6, 512
FEATURE_BLOCK = LAYERS - 2
"""Index of the block whose output is `hidden_states[-2]`: what the projector reads."""
PERIOD, WAVES = SIDE + 1, SIDE // 2
CODE = 4 * WAVES
"""Channels of the position code: cosine and sine of `WAVES` frequencies, rows then columns."""
CROSS = ((0, 1), (0, -1), (1, 0), (-1, 0))
DIAGONAL = ((1, 1), (1, -1), (-1, 1), (-1, -1))


def tower_config() -> CLIPVisionConfig:
    """168-px tiles, 14-px patches: 144 patches and a CLS token."""
    return CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        image_size=TILE,
        patch_size=PATCH,
        projection_dim=WIDTH,
        hidden_act="gelu_pytorch_tanh",
    )


def cosine_filters(luma: int, chroma: int) -> torch.Tensor:
    """Low-frequency DCT filters: (luma + 2 * chroma, 3, 14, 14), each of unit norm."""
    grid = torch.arange(PATCH) + 0.5
    waves = torch.stack([torch.cos(math.pi * k * grid / PATCH) for k in range(PATCH)])
    order = sorted(((i, j) for i in range(PATCH) for j in range(PATCH)), key=lambda p: sum(p))
    planes = torch.stack([torch.outer(waves[i], waves[j]) for i, j in order])
    planes = planes / planes.flatten(1).norm(dim=1)[:, None, None]
    mixes = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [-0.5, 1.0, -0.5]])
    mixes = mixes / mixes.norm(dim=1, keepdim=True)
    parts = [
        planes[:count, None] * mix[None, :, None, None]
        for mix, count in zip(mixes, (luma, chroma, chroma), strict=True)
    ]
    return torch.cat(parts)


def position_code() -> torch.Tensor:
    """Fourier code of every patch's row and column: (144, CODE)."""
    angle = 2 * math.pi * torch.outer(torch.arange(SIDE), torch.arange(1, WAVES + 1)) / PERIOD
    axis = torch.stack([angle.cos(), angle.sin()], -1).flatten(1)
    rows = axis[:, None].expand(SIDE, SIDE, -1)
    columns = axis[None].expand(SIDE, SIDE, -1)
    return torch.cat([rows, columns], -1).flatten(0, 1)


def shift(rows: int, columns: int) -> torch.Tensor:
    """Matrix (CODE, CODE) that maps the code of a patch to the code of its neighbour."""
    matrix = torch.zeros(CODE, CODE)
    for axis, step in enumerate((rows, columns)):
        for wave in range(WAVES):
            turn = 2 * math.pi * (wave + 1) * step / PERIOD
            at = axis * 2 * WAVES + 2 * wave
            matrix[at : at + 2, at : at + 2] = torch.tensor(
                [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]
            )
    return matrix


@torch.no_grad()
def start(tower: CLIPVisionModel, sample: torch.Tensor, sharpness: float = 1.6) -> None:
    """Set the tower's initial values; `sample` (B, 3, 168, 168) sets the filters' scale."""
    vision = getattr(tower, "vision_model", tower)
    embeddings = vision.embeddings
    chroma = 40
    filters = cosine_filters(WIDTH - CODE - 2 * chroma, chroma)
    seen = nn.functional.conv2d(sample, filters, stride=PATCH)
    spread, mean = seen.std((0, 2, 3)), seen.mean((0, 2, 3))
    # Content stays below the position code even on busy patches: the layer norm that follows
    # would otherwise shrink their code, and with it their sight of their neighbours.
    scale = 0.25 / spread.clamp_min(0.02)
    embeddings.patch_embedding.weight.zero_()
    embeddings.patch_embedding.weight[CODE:] = filters * scale[:, None, None, None]
    embeddings.position_embedding.weight.normal_(std=0.02)
    embeddings.position_embedding.weight[1:, :CODE] = 2 * position_code()
    embeddings.position_embedding.weight[1:, CODE:] -= (mean * scale)[None]
    embeddings.position_embedding.weight[0, :CODE] = 0
    vision.pre_layrnorm.weight[:CODE] = 1.2
    embeddings.class_embedding.normal_(std=0.5)
    embeddings.class_embedding[:CODE] = 0
    size = WIDTH // HEADS
    for index, block in enumerate(vision.encoder.layers):
        attention = block.self_attn
        block.layer_norm1.weight[CODE:] = 2.0
        block.layer_norm2.weight[CODE:] = 2.0
        for head, (rows, columns) in enumerate(CROSS if index % 2 == 0 else DIAGONAL):
            at = slice(head * size, head * size + CODE)
            attention.q_proj.weight[at, :CODE] += sharpness * shift(rows, columns)
            attention.k_proj.weight[at, :CODE] += sharpness * torch.eye(CODE)


def new_tower(seed: int, sample: torch.Tensor) -> CLIPVisionModel:
    """A seeded tower ready for training."""
    torch.manual_seed(seed)
    tower = CLIPVisionModel(tower_config())
    # The fused kernel's backward pass takes longer on a CPU than all else together.
    tower.set_attn_implementation("eager")
    start(tower, sample)
    return tower
