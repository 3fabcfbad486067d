"""Keep secrets out of what a run leaves behind.

A secret is: what the environment holds under a name such as API_KEY, wherever that value appears; the user and password
of an URL, and what its query gives under such a name; what has the shape of a well-known token; and a literal that is
given such a name, in a config, an override or a line of code.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lighter.config.tree import Key, Node, join

MASK = "***"
DATA_FILES = (".yaml", ".yml", ".json", ".toml", ".ini", ".cfg", ".env", ".sh", ".md", ".txt")
SHORTEST = 8  # of a value of the environment that is looked for: what is shorter may appear anywhere

_WORDS = r"passw(?:or)?d|passphrase|secrets?|credentials?"
_KEYS = r"(?:api|access|secret|private|account|auth|encryption|signing)[_.-]?key"
_TOKENS = r"(?:(?:api|access|auth|bearer|bot|hf|huggingface|github|gitlab|id|refresh|secret|session|wandb)[_.-]?)?token"
_ENDING = rf"(?:{_WORDS}|{_KEYS}|{_TOKENS})"
_NAME = re.compile(rf"(?:.*[_.-])?(?:{_WORDS}|{_KEYS})|{_TOKENS}", re.IGNORECASE)
_OF_ENVIRONMENT = re.compile(rf".*(?:{_WORDS})|(?:.*_)?(?:TOKEN|(?:API|PRIVATE)?KEY|PASS|PWD)", re.IGNORECASE)

_USER = re.compile(r"(?<=://)[^\s/?#@'\"]+(?=@)")
_QUERY = re.compile(rf"([?&](?:[\w.-]*{_ENDING}|key|sig|[\w-]*signature|[\w-]*credential)=)[^&\s'\"#]+", re.IGNORECASE)
_SHAPES = re.compile(
    r"\b(?:gh[opsu]_|github_pat_|glpat-|hf_|sk-(?:[a-z]+-)?|xox[abprs]-|AKIA)[A-Za-z0-9]{16,}[A-Za-z0-9_-]*"
)
_GIVEN = rf"(?<![A-Za-z0-9])((?:{_WORDS}|{_KEYS})|(?<![\w.-]){_TOKENS})(['\"]?[ \t]*(?::(?!:)|=)[ \t]*)"
_QUOTED = re.compile(rf"{_GIVEN}(['\"])(?![@%$])[^'\"\n]+(?=\3)", re.IGNORECASE)
_BARE = re.compile(rf"{_GIVEN}()(?![@%$'\"\[{{*])[^\s,}}\]'\"]+", re.IGNORECASE)

_NAMES = ("passw", "passphrase", "secret", "credential", "key", "token", "://")
_SHAPED = ("ghp_", "gho_", "ghs_", "ghu_", "github_pat_", "glpat-", "hf_", "sk-", "xox", "akia")
_HINTS = _NAMES + _SHAPED  # that a line may hold a secret


@dataclass(frozen=True)
class Secrets:
    """What to hide: the secret values of an environment, the longest first."""

    values: tuple[str, ...] = field(repr=False)

    @staticmethod
    def of(environment: Mapping[str, str] = os.environ) -> Secrets:
        """Find the secrets of an environment by the names of its variables."""
        found = {value for name, value in environment.items() if _OF_ENVIRONMENT.fullmatch(name)}
        secret = (value for value in found if len(value) >= SHORTEST and not value.startswith(("/", "~")))
        return Secrets(tuple(sorted(secret, key=len, reverse=True)))

    def hide(self, text: str) -> str:
        """Return a text without secrets of any kind but literals with a name."""
        for value in self.values:
            text = text.replace(value, MASK)
        if "://" in text:
            text = _QUERY.sub(rf"\g<1>{MASK}", _USER.sub(MASK, text))
        return _SHAPES.sub(MASK, text)

    def hide_named(self, text: str) -> str:
        """Return a text, such as an override, without secrets of any kind."""
        return _BARE.sub(rf"\1\2{MASK}", _QUOTED.sub(rf"\1\2\3{MASK}", self.hide(text)))

    def hide_in_patch(self, patch: str) -> str:
        """Return a patch without secrets; in code, what is given a name without quotes is code too, and is kept."""
        files = re.split(r"^(?=diff --git )", patch, flags=re.MULTILINE)
        return "".join(map(self._hide_in_file, files))

    def _hide_in_file(self, patch: str) -> str:
        head, *lines = patch.splitlines(keepends=True) or [""]
        is_data = head.rstrip().endswith(DATA_FILES)
        return "".join([self.hide(head), *(self._hide_in_line(line, is_data=is_data) for line in lines)])

    def _hide_in_line(self, line: str, *, is_data: bool) -> str:
        lower = line.lower()
        if not any(hint in lower for hint in _HINTS) and not any(value in line for value in self.values):
            return line  # as nearly all are, and the expressions take their time
        return self.hide_named(line) if is_data else _QUOTED.sub(rf"\1\2\3{MASK}", self.hide(line))

    def hide_in_config(self, root: Node) -> tuple[Node, tuple[str, ...]]:
        """Return a copy of a config without secrets, and the paths where there were some."""
        root = root.copy()
        return root, tuple(self._hide_below(root, ()))

    def _hide_below(self, node: Node, path: tuple[Key, ...]) -> Iterator[str]:
        for key, child in node.items():
            where = (*path, key)
            if isinstance(child.value, (dict, list)):
                yield from self._hide_below(child, where)
                continue
            hidden = MASK if _is_literal_secret(key, child.value) else child.value
            hidden = self.hide(hidden) if isinstance(hidden, str) else hidden
            if hidden != child.value:
                child.value = hidden
                yield join(where)


def _is_literal_secret(key: Key, value: object) -> bool:
    if not isinstance(key, str) or not _NAME.fullmatch(key) or isinstance(value, bool) or value in (None, ""):
        return False
    return not (isinstance(value, str) and value[0] in "@%$")
