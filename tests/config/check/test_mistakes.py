"""`lighter check` finds every mistake of the corpus, says nothing else, and says it in a message that helps.

`corpus.py` tells how a mistake is written. What is shown for each is in `mistakes.txt`; after a change of messages or
mistakes, write it anew and read the difference:

    python tests/config/check/corpus.py
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lighter.checking import find_problems
from lighter.cli import main
from lighter.errors import Place, render_problem

from .corpus import MISTAKES, Mistake, bases_in, shown, snapshot

LINES, COLUMNS = 8, 120  # that a message may take
NOISE = ("Traceback", "<class", "<function", "<module '", " object at 0x", "\\n", "<lambda>")
BASES = {
    "classifier": ["fit", "validate", "test", "predict"],
    "segmenter": ["fit", "validate", "test", "predict"],
    "digits": ["fit", "validate"],
    "digits experiment": ["fit", "validate"],
    "datamodule": ["fit", "validate", "test"],
    "own_system": ["fit", "validate"],
}

corpus = pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)


@pytest.fixture(autouse=True)
def bases(tmp_path: Path) -> Iterator[None]:
    with bases_in(tmp_path):
        yield


@pytest.mark.parametrize("base", BASES)
def test_a_base_is_without_problems(base: str) -> None:
    sources = [f"{name}.yaml" for name in base.split()]
    for stage in [None, *BASES[base]]:
        assert find_problems(sources, [], stage)[1] == []


@pytest.mark.parametrize("base", [base for base in BASES if " " not in base])
def test_each_misspelt_target_and_reference_is_found_where_it_stands(base: str) -> None:
    file = Path(f"{base}.yaml")
    text = file.read_text(encoding="utf-8")
    for match in re.finditer(r"(?<=_target_: )[\w.]+|\"?[@%](?:::)*\w+(?:::\w+)*", text):
        file.write_text(f"{text[: match.end()]}x{text[match.end() :]}", encoding="utf-8")
        line, column = text.count("\n", 0, match.start()) + 1, match.start() - text.rfind("\n", 0, match.start())
        assert [problem.place for problem in find_problems([file.name])[1]] == [Place(file.name, line, column)]


@corpus
def test_a_mistake_is_found_and_nothing_else(mistake: Mistake) -> None:
    problems = mistake.problems()
    assert [problem for problem in problems if not any(item.is_told_by(problem) for item in mistake.expected)] == []
    assert [item for item in mistake.expected if not any(map(item.is_told_by, problems))] == []
    assert len(problems) == len(mistake.expected)
    assert shown(problems) == snapshot().get(mistake.name), "see the docstring of this file"
    for text in map(render_problem, problems):
        assert len(text.splitlines()) <= LINES
        assert max(map(len, text.splitlines())) <= COLUMNS
        assert not any(noise in text for noise in NOISE)


def test_the_corpus_is_as_large_as_it_was_meant_to_be() -> None:
    assert len(MISTAKES) >= 250
    assert list(snapshot()) == [mistake.name for mistake in MISTAKES], "see the docstring of this file"
    names = " ".join(BASES).split()
    assert {source for mistake in MISTAKES for source in mistake.sources} >= {f"{name}.yaml" for name in names}


@pytest.mark.parametrize("mistake", [item for item in MISTAKES if len(item.expected) > 2], ids=lambda item: item.name)
def test_several_mistakes_are_told_in_the_order_of_the_files_with_their_number(
    mistake: Mistake, capsys: pytest.CaptureFixture[str]
) -> None:
    mistake.problems()
    assert main(["check", *mistake.sources, *mistake.overrides]) == 2
    out, err = capsys.readouterr()
    heads = [line for line in out.splitlines() if line.startswith((*mistake.sources, "override", "optimizers.yaml"))]
    assert [item.place in head for item, head in zip(mistake.expected, heads, strict=True)] == [True] * len(heads)
    assert out.endswith(f"\n\n{len(mistake.expected)} problems\n")
    assert err == ""
