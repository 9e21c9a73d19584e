"""Formula-driven pictures, tar shards, files of tokens, order and loaders of Fujimi."""

from fujimi_core.data_spec import SampleOrder

from fujimi_data.errors import Damage, ShardError
from fujimi_data.generation import Generation, generate, recipe_of
from fujimi_data.loader import Batch, BatchLoader
from fujimi_data.order import batch_indices, permuted
from fujimi_data.part import Part
from fujimi_data.shards.codecs import Codec
from fujimi_data.shards.dataset import ShardDataset
from fujimi_data.shards.manifest import Manifest, Recipe
from fujimi_data.shards.sample import Sample
from fujimi_data.shards.verification import damages
from fujimi_data.source import Picture, Source
from fujimi_data.tokens import TokenBatch, TokenDataset, TokenLoader

__all__ = [
    "Batch",
    "BatchLoader",
    "Codec",
    "Damage",
    "Generation",
    "Manifest",
    "Part",
    "Picture",
    "Recipe",
    "Sample",
    "SampleOrder",
    "ShardDataset",
    "ShardError",
    "Source",
    "TokenBatch",
    "TokenDataset",
    "TokenLoader",
    "batch_indices",
    "damages",
    "generate",
    "permuted",
    "recipe_of",
]
