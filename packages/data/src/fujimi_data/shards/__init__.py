"""Shards: plain tar archives with an index, checksums on all of it, and what is in their samples."""
