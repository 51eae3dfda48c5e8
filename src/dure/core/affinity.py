"""How well a reviewer's areas fit an application's words: cosine of TF-IDF, in thousandths."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"[0-9a-z]{2,}|[가-힣]{2,}")
_HANGUL = re.compile(r"[가-힣]")


def words_in(text: str) -> Counter[str]:
    """Split a text into words; Korean ones into pairs of syllables, since endings hang on them."""
    found: Counter[str] = Counter()
    for word in _WORD.findall(text.lower()):
        if _HANGUL.match(word):
            found.update(word[place : place + 2] for place in range(len(word) - 1))
        else:
            found[word] += 1
    return found


def affinity_milli(texts: Sequence[str], areas: Sequence[str]) -> NDArray[np.int64]:
    """Compare applications with reviewers.

    Returns:
        Shape (application, reviewer), 0 .. 1000; a word of many applications counts for little.
    """
    rows, columns = [words_in(one) for one in texts], [words_in(one) for one in areas]
    # A word that no reviewer has changes only a row's length, and so no order within the row.
    known = sorted({word for column in columns for word in column})
    place = {word: index for index, word in enumerate(known)}
    seen = Counter(word for row in rows for word in row if word in place)
    rarity = np.array([np.log((1 + len(rows)) / (1 + seen[word])) + 1 for word in known])
    left, right = _weighed(rows, place, rarity), _weighed(columns, place, rarity)
    return np.rint(1000 * left @ right.T).astype(np.int64)


def _weighed(
    texts: Sequence[Counter[str]], place: dict[str, int], rarity: NDArray[np.float64]
) -> NDArray[np.float64]:
    weighed = np.zeros((len(texts), len(place)))
    for row, words in enumerate(texts):
        for word, count in words.items():
            if word in place:
                weighed[row, place[word]] = count
    weighed *= rarity
    length = np.sqrt((weighed**2).sum(axis=1, keepdims=True))
    unit: NDArray[np.float64] = weighed / np.where(length > 0, length, 1.0)
    return unit
