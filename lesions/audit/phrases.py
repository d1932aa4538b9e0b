"""Parts of sentences: counted nouns and lists of words."""


def count_of(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun: "3 lesions".

    Args:
        count: the number.
        one: the noun.
        many: its plural, where that is not formed by an s.
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def join_words(words: list[str]) -> str:
    """Return "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def first_few(words: list[str], separator: str = ", ", most: int = 4) -> str:
    """Return the first words, and how many more there are: "a, b, and 3 more".

    Args:
        words: all of them.
        separator: stands between two.
        most: how many are named.
    """
    more = f"{separator}and {len(words) - most} more" if len(words) > most else ""
    return separator.join(words[:most]) + more
