"""The numbers of a text's characters or words."""

from collections import Counter

import numpy as np

from minidl.data.dataset import checked_count

UNKNOWN = "<unk>"  # stands for all words that a vocabulary does not have


class Vocabulary:
    """The numbers of characters or words; made by `characters` or `words`, or from the saved tokens of another.

    Parameters
    ----------
    tokens : sequence of str
        In the order of their numbers. With ``"<unk>"`` among them they are words, without it characters.

    Attributes
    ----------
    tokens : tuple of str
        What `json.dump` saves.

    Raises
    ------
    TypeError, ValueError
        If there are no tokens, or one is not a string, not a single character or word, or there twice.

    Examples
    --------
    >>> vocabulary = Vocabulary.characters(text)
    >>> ids = vocabulary.encode(text)
    >>> vocabulary = Vocabulary(json.loads(json.dumps(vocabulary.tokens)))
    """

    def __init__(self, tokens):
        self.tokens = tuple(tokens)
        self._of_words = UNKNOWN in self.tokens
        kind = "a word without spaces" if self._of_words else f"a single character (words need {UNKNOWN!r} among them)"
        if not self.tokens:
            raise ValueError("Vocabulary: got no tokens, expected at least one")
        for i, token in enumerate(self.tokens):
            if not isinstance(token, str):
                raise TypeError(f"Vocabulary: token {i}: got {token!r}, expected a string")
            if token.split() != [token] if self._of_words else len(token) != 1:
                raise ValueError(f"Vocabulary: token {i}: got {token!r}, expected {kind}")
        self._ids = {token: i for i, token in enumerate(self.tokens)}
        if len(self._ids) < len(self.tokens):
            token, times = Counter(self.tokens).most_common(1)[0]
            raise ValueError(f"Vocabulary: got {token!r} {times} times, expected every token once")

    @classmethod
    def characters(cls, text):
        """All characters of a text, sorted."""
        _check_text("Vocabulary.characters", text)
        return cls(sorted(set(text)))

    @classmethod
    def words(cls, text, size=None, min_count=1):
        """The words of a text: what whitespace separates. The most frequent come first, behind ``"<unk>"``.

        Parameters
        ----------
        text : str
        size : int, optional
            How many tokens at most, ``"<unk>"`` included.
        min_count : int
            How often a word must be there.
        """
        _check_text("Vocabulary.words", text)
        size = None if size is None else checked_count("Vocabulary.words", "size", size)
        min_count = checked_count("Vocabulary.words", "min_count", min_count)
        counts = Counter(text.split())
        counts.pop(UNKNOWN, None)
        frequent = sorted((-count, word) for word, count in counts.items() if count >= min_count)
        return cls([UNKNOWN, *(word for _, word in frequent)][:size])

    def __len__(self):
        return len(self.tokens)

    def encode(self, text):
        """The numbers of a text's tokens.

        Parameters
        ----------
        text : str
            Words that the vocabulary does not have become ``"<unk>"``.

        Returns
        -------
        ndarray of int64, shape (T,)

        Raises
        ------
        ValueError
            If it does not have a character; says which, and where.
        """
        if not isinstance(text, str):
            raise TypeError(f"Vocabulary: encode: got {type(text).__name__}, expected a string")
        if self._of_words:
            unknown = self._ids[UNKNOWN]
            return np.array([self._ids.get(word, unknown) for word in text.split()], np.int64)
        try:
            return np.array([self._ids[character] for character in text], np.int64)
        except KeyError as error:
            character = error.args[0]
            raise ValueError(
                f"Vocabulary: encode: got character {character!r} (U+{ord(character):04X}) at position "
                f"{text.index(character)}, expected one of the {len(self)} in the vocabulary"
            ) from None

    def decode(self, ids):
        """The text of these numbers; between words there is one space.

        Parameters
        ----------
        ids : sequence, ndarray or Tensor of integers, shape (T,)

        Returns
        -------
        str

        Raises
        ------
        TypeError, ValueError, IndexError
            If they are not integers of shape (T,), or a number has no token.
        """
        ids = np.asarray(ids)
        if ids.size:
            checked_ids("Vocabulary: decode", ids)
            bad = np.flatnonzero((ids < 0) | (ids >= len(self)))
            if bad.size:
                raise IndexError(f"Vocabulary: decode: id {bad[0]} is {ids[bad[0]]}, expected 0 <= id < {len(self)}")
        return (" " if self._of_words else "").join(self.tokens[i] for i in ids.tolist())


def _check_text(function, text):
    if not isinstance(text, str):
        raise TypeError(f"{function}: text: got {type(text).__name__}, expected a string")
    if not text.strip():
        raise ValueError(f"{function}: text: got nothing but whitespace, expected a text")


def checked_ids(function, ids):
    """`ids` as int64."""
    ids = np.asarray(ids)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{function}: ids: got {ids.dtype}, expected integers")
    if ids.ndim != 1:
        raise ValueError(f"{function}: ids: got shape {ids.shape}, expected (N,)")
    return ids.astype(np.int64)
