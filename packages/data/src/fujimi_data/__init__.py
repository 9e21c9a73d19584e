"""Formula-driven pictures, tar shards, files of tokens, order and loaders of Fujimi."""

from fujimi_data.dataset import ShardDataset
from fujimi_data.errors import Damage, ShardError
from fujimi_data.generation import Generation, generate
from fujimi_data.loader import Batch, BatchLoader
from fujimi_data.manifest import Manifest, Recipe
from fujimi_data.order import batch_indices, permuted
from fujimi_data.sample import Sample
from fujimi_data.tokens import TokenBatch, TokenDataset, TokenLoader
from fujimi_data.verification import damages

__all__ = [
    "Batch",
    "BatchLoader",
    "Damage",
    "Generation",
    "Manifest",
    "Recipe",
    "Sample",
    "ShardDataset",
    "ShardError",
    "TokenBatch",
    "TokenDataset",
    "TokenLoader",
    "batch_indices",
    "damages",
    "generate",
    "permuted",
]
