"""Sequence split: which tokens of a sample each rank holds, and what it attends to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """What one rank has to compute with the keys of another.

    Args:
        first_query: Its queries from this one on take part.
        keys: So many of the other's keys take part, from the first on.
        diagonal: Whether query i sees only the keys up to i; else all of them.
    """

    first_query: int
    keys: int
    diagonal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceSplit:
    """How the tokens of a sample are dealt to the ranks of a group.

    Tokens are cut into consecutive chunks of nearly equal size, the longer ones first. For full attention there are as
    many chunks as ranks. For causal attention there are twice as many, and rank r of n holds chunks r and 2 n - 1 - r:
    what sees few tokens goes together with what sees many, and every rank has the same work.

    >>> SequenceSplit(tokens=197, ranks=2).count(1)
    98
    >>> SequenceSplit(tokens=8, ranks=2, causal=True).positions(0)
    (0, 1, 6, 7)

    Args:
        tokens: Of a sample, on all ranks together.
        ranks: Of the group; each gets at least one token, or two for causal attention.
        causal: Whether tokens are dealt for causal attention; full attention goes with either.

    Raises:
        ValueError: If there are too few tokens.

    Source:
        Grattafiori et al., "The Llama 3 Herd of Models", 2024, section 3.3.2: chunks r and 2 n - 1 - r.
    """

    tokens: int
    ranks: int
    causal: bool = False

    def __post_init__(self) -> None:
        each = 2 if self.causal else 1
        if self.ranks < 1:
            raise ValueError(f"tokens cannot be dealt to {self.ranks} ranks; at least 1 is needed")
        if self.tokens < each * self.ranks:
            raise ValueError(
                f"{self.tokens} tokens do not fill {self.ranks} ranks, each of which takes at least {each}; "
                f"use at most {self.tokens // each} ranks, or at least {each * self.ranks} tokens"
            )

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return 2 * self.ranks if self.causal else self.ranks

    def chunk(self, number: int) -> range:
        """Positions of a chunk's tokens in the sample."""
        size, longer = divmod(self.tokens, self.chunks)
        start = number * size + min(number, longer)
        return range(start, start + size + (number < longer))

    def held(self, rank: int) -> tuple[int, ...]:
        """Chunks of a rank, in ascending order."""
        return (rank, self.chunks - 1 - rank) if self.causal else (rank,)

    def positions(self, rank: int) -> tuple[int, ...]:
        """Where the tokens of a rank stand in the sample, in the order in which the rank holds them."""
        return tuple(position for chunk in self.held(rank) for position in self.chunk(chunk))

    def count(self, rank: int) -> int:
        """Tokens of a rank."""
        return sum(len(self.chunk(chunk)) for chunk in self.held(rank))

    def weight(self, rank: int) -> float:
        """Factor of a rank's mean over its own tokens, so that the mean of all ranks is that of all tokens.

        ``ranks * count(rank) / tokens``; 1 where all hold equally many.

        >>> SequenceSplit(tokens=3, ranks=2).weight(0)
        1.3333333333333333
        """
        return self.ranks * self.count(rank) / self.tokens

    def tile(self, rank: int, source: int, *, causal: bool) -> Tile:
        """Work of one rank with the keys of another.

        Args:
            rank: Whose queries.
            source: Whose keys.
            causal: Whether attention is; then tokens must have been dealt for it.
        """
        if not causal or source == rank:
            return Tile(first_query=0, keys=self.count(source), diagonal=causal)
        if source < rank:  # its first chunk is before both of ours, its second after them
            return Tile(first_query=0, keys=len(self.chunk(source)), diagonal=False)
        return Tile(first_query=len(self.chunk(rank)), keys=self.count(source), diagonal=False)
