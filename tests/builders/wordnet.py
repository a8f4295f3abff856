"""Builds WordNet dict files of a few synsets, in the layout of the real ones, byte offsets included."""

from collections import defaultdict
from pathlib import Path

FILES = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}

SYNSETS = {
    "n": [
        ["car", "auto", "automobile", "motorcar"],
        ["car", "railcar", "railway_car"],
        ["Paris", "capital_of_France", "lutetia"],
        ["Einstein"],
        ["comic_strip", "strip", "funnies"],
        ["goose", "anser"],
        ["goose", "fathead", "twat"],
        ["axis", "pivot"],
        ["ax", "axe"],
        ["leaf", "foliage"],
        ["man", "adult_male"],
        ["woman", "lady"],
        ["city", "metropolis"],
        ["walk", "stroll"],
        ["church", "kirk"],
        ["runs"],
        ["runner-up", "second_best"],
    ],
    "v": [
        ["run", "operate", "work"],
        ["study", "analyze", "analyse"],
        ["walk", "stroll"],
        ["hope", "trust"],
        ["hop", "hop-skip"],
        ["axe", "chop"],
    ],
    "a": [["good", "well(p)"], ["happy", "glad(a)"], ["fine", "thin"], ["large", "big"]],
    "r": [["well", "good"], ["quickly", "rapidly", "speedily"]],
}

IRREGULAR = {
    "n": ["comics comic_strip", "geese goose", "axes ax axis", "cities town", "men man"],
    "v": ["ran run", "ran hope", "hoped", "studied study"],
    "a": ["better good well", "best_of_all good"],
    "r": ["best well"],
}
"""Odd on purpose: a base of several words, two bases, a base that is no word, a form listed twice, no base."""


def write_wordnet(folder: Path) -> Path:
    """Write data, index and exception files, and the list of lexicographers' files that nltk wants."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lexnames").write_text("00\tall\t1\n")
    for pos, part in FILES.items():
        data = "  1 a line of the licence\n"
        places: dict[str, list[int]] = defaultdict(list)
        for names in SYNSETS[pos]:
            offset = len(data)
            listed = " ".join(f"{name} 0" for name in names)
            data += f"{offset:08d} 00 {pos} {len(names):02x} {listed} 000 | a gloss  \n"
            for name in names:
                places[name.partition("(")[0].lower()].append(offset)
        index = "  1 a line of the licence\n"
        for word, offsets in sorted(places.items()):
            found = " ".join(f"{offset:08d}" for offset in offsets)
            index += f"{word} {pos} {len(offsets)} 0 {len(offsets)} 0 {found}  \n"
        (folder / f"data.{part}").write_text(data)
        (folder / f"index.{part}").write_text(index)
        (folder / f"{part}.exc").write_text("".join(line + "\n" for line in IRREGULAR[pos]))
    return folder
