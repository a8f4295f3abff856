"""Builds the METEOR metric's synonym table from WordNet 3.0's dict files (Debian: package `wordnet-base`).

    python scripts/build_synonyms.py /usr/share/wordnet src/assay/metrics/data/wordnet-synonyms.txt.gz

The table is gzipped ASCII text, sorted, one entry a line: `<pos><word>TAB<names>` gives the names of all
synsets that hold the word as that part of speech (n, v, a, r), and `<POS><form>TAB<bases>` (N, V, A, R) is an
irregular form. Names of several words, and names with capitals, are not among the names: METEOR compares
single lower-case words, so they never match. The same input gives the same bytes.
"""

import argparse
import gzip
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PARTS = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
_MARKER = re.compile(r"\([^()]*\)$")


def synsets(dict_dir: Path, part: str) -> Iterator[list[str]]:
    """The names in each synset of a part of speech; a syntactic marker such as `(p)` is cut off."""
    for line in (dict_dir / f"data.{part}").read_text("ascii").splitlines():
        if line.startswith(" "):  # the licence at the head of the file
            continue
        fields = line.split("|")[0].split()
        count = int(fields[3], 16)
        yield [_MARKER.sub("", name) for name in fields[4 : 4 + 2 * count : 2]]


def indexed_words(dict_dir: Path, part: str) -> set[str]:
    """The words that WordNet's own index lists for a part of speech."""
    lines = (dict_dir / f"index.{part}").read_text("ascii").splitlines()
    return {line.split(" ", 1)[0] for line in lines if not line.startswith(" ")}


def irregular_forms(dict_dir: Path, part: str) -> dict[str, list[str]]:
    """The base forms of each irregular single word; of a form listed twice the later line counts."""
    lines = (dict_dir / f"{part}.exc").read_text("ascii").splitlines()
    forms = {form: bases for form, *bases in (line.split() for line in lines)}
    return {form: bases for form, bases in forms.items() if "_" not in form}


def entries(dict_dir: Path) -> Iterator[str]:
    """The table's lines, in no order."""
    for pos, part in PARTS.items():
        names: dict[str, set[str]] = defaultdict(set)
        for synset in synsets(dict_dir, part):
            comparable = [name for name in synset if "_" not in name and name == name.lower()]
            for name in synset:
                names[name.lower()].update(comparable)
        if set(names) != indexed_words(dict_dir, part):
            raise SystemExit(f"data.{part} and index.{part} hold different words")
        irregular = irregular_forms(dict_dir, part)
        # Words of several words are reached only as the base of an irregular form (`comics`: `comic_strip`).
        reached = {base for bases in irregular.values() for base in bases}
        for word, found in names.items():
            if found and ("_" not in word or word in reached):
                yield f"{pos}{word}\t{' '.join(sorted(found))}"
        for form, bases in irregular.items():
            yield f"{pos.upper()}{form}\t{' '.join(bases)}"


def build(dict_dir: Path, table: Path) -> int:
    """Write the table; returns the number of its entries."""
    lines = sorted(entries(dict_dir))
    table.write_bytes(gzip.compress("\n".join(lines).encode("ascii"), compresslevel=9, mtime=0))
    return len(lines)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("dict_dir", type=Path, help="the folder with data.noun, index.noun, noun.exc and so on")
    parser.add_argument("table", type=Path, help="the file to write")
    arguments = parser.parse_args()
    count = build(arguments.dict_dir, arguments.table)
    print(f"{arguments.table}: {count} entries, {arguments.table.stat().st_size} bytes")


if __name__ == "__main__":
    main()
