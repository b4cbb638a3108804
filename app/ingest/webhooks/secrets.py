"""What is a secret: a field by its name, and in a text what has the form of one.

Every pattern here takes time that is linear in the length of the text: repetitions are bounded or end at the
first character that can't belong to them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

HIDDEN = "<secret>"
INCOMPLETE = "!"
"""Ends the digest of a key of which a secret is a part, and was taken out."""

_WORDS = (
    *("password", "passwd", "passphrase", "secret", "token", "authorization", "credential", "cookie"),
    *("bearer", "connectionstring", "pingurl", "updateurl"),
)
_KEYS = (
    *("api", "access", "private", "service", "routing", "integration", "signing", "encryption", "license"),
    *("application", "account", "shared", "subscription", "auth", "app", "master", "webhook"),
)
STEMS = (*_WORDS, *(f"{key}key" for key in _KEYS))
"""What the names of secrets hold, as `folded` leaves it."""

# After such a name, these describe a secret, and are none.
_ABOUT = re.compile(
    r"(?>(?:names?|counts?|types?|kind|length|len|size|limit|usage|used|age|policy|status|valid|invalid"
    r"|errors?|failed|failures?|expiry|expires|expired|expiration|expiring|at|in|on|changed|created|updated"
    r"|rotated|rotation|required|enabled|disabled|missing|path|file|version|scopes?|issuer|rate|bucket"
    r"|attempts?|ttl|less|url|uri|endpoint|engine|store|manager|reset|seconds|days|max|min)+)"
)
_STEM = re.compile("|".join(STEMS))
_LONGEST_NAME = 200


def folded(name: str) -> str:
    """A field's name without regard to case, `_` and `-`."""
    return name.replace("_", "").replace("-", "").lower()


def is_secret(name: str) -> bool:
    """Whether a field of this name holds what nobody else may see: `password`, `X-API-Key-2`, `ping_url`."""
    return _is_secret(name) if len(name) <= _LONGEST_NAME else _is_secret(name[:100] + name[-100:])


# The same names come again and again, and this is asked of every field of a body that may hold a secret.
@lru_cache(maxsize=4096)
def _is_secret(name: str) -> bool:
    plain = folded(name).replace(" ", "").replace(".", "")
    for found in _STEM.finditer(plain):
        rest = plain[found.end() :]
        # Tokens are counted: `max_tokens`; and text is made of them.
        if found[0] == "token" and rest[:1] == "s":
            rest = f"count{rest[1:]}"
        if not rest.startswith("iz") and not _ABOUT.fullmatch(rest):
            return True
    return plain.endswith("pwd")


# -- what has the form of a secret -----------------------------------------------------------------------

# What begins with one of these and goes on is a token. Most texts hold none of them, as is seen at once.
_TOKENS = (
    *("ghp_", "gho_", "ghs_", "github_pat_", "glpat-", "gldt-", "glrt-", "glsa_", "xoxb-", "xoxp-", "xoxa-"),
    *("xapp-", "k_live_", "k_test_", "sk-proj-", "sk-ant-", "AKIA", "ASIA", "AIza", "SG.", "npm_", "hvs."),
    *("NRAK-", "eyJ"),
)
_TOKEN = re.compile(
    rf"(?<![\w-])[rs]?(?:{'|'.join(map(re.escape, _TOKENS))})"
    # That of Amazon is short, that of JSON has parts.
    r"(?:(?<=A[KS]IA)[0-9A-Z]{16}|(?<!IA)(?<!eyJ)[\w.-]{16,255}|(?<=eyJ)[\w-]{8,8192}(?:\.[\w-]{0,8192}){1,4})"
)
# Addresses by which anyone who knows them writes to a channel.
_ADDRESS = re.compile(
    r"(hooks\.slack\.com/(?:services|workflows|triggers)/|discord(?:app)?\.com/api/webhooks/"
    r"|api\.telegram\.org/bot|webhook\.office\.com/webhookb2/)[^\s\"'<>\\]{1,500}"
)
_IN_URL = re.compile(r"(://)[^\s/:\"'<>@\\]{0,256}:[^\s/\"'<>\\]{1,256}@")
_SIGNED_URL = re.compile(r"([?&;][\w-]{0,40}[sS]ig(?:nature)?=)[^\s&#\"'<>\\]{1,4096}")
_KEY_BLOCK = re.compile(r"(-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----).*?(?=-----END|\Z)", re.DOTALL)
# A digit, an equals sign or a large letter in the middle: words of a sentence have none.
_SCHEME = re.compile(
    r"\b((?i:bearer|basic)[ \t]{1,8})(?=[\w.~+/-]{0,8192}?(?:[0-9=]|[a-z][A-Z]))"
    r"[\w.~+/=-]{6,8192}",
    re.ASCII,
)

# A name, in small letters; what stands between it and its value; the value.
_NAME = re.compile(
    r"(?:password|passwd|passphrase|secret|token|authorization|credential|cookie|bearer|pwd"
    r"|(?:ping|update)[_-]?url|connection[_ -]?string"
    r"|(?:api|access|private|service|routing|integration|signing|encryption|license|application|account"
    r"|shared|subscription|auth|app|master|webhook)[ _-]?key)[\w.-]{0,40}"
)
_BETWEEN = re.compile(
    r"""(\\*["']\s{0,8}(?:[:=]|,(?:\s{0,8}\\*["']val(?:ue)?s?\\*["']\s{0,8}:)?)\s{0,8}|\s{0,8}[:=]\s{0,8})"""
)
# In JSON that is a text in JSON, a value ends with a quote that is escaped as often as the one before it.
_QUOTED = re.compile(
    r"""(")(?:[^"\\]|\\.)*"?|(')[^'\r\n]*'?|(\\+")(?:.{0,4096}?(?<!\\)\3|.{0,4096})""", re.DOTALL
)
_BARE = re.compile(r"(?:(?:bearer|basic|token) +)?(?:<secret>|[^\s&,;}\]\\\"'<>]+)", re.IGNORECASE)
_COOKIE = re.compile(r"(?=[^\s=]{1,200}=)[^\r\n\"'<>]{1,4096}")
# What nobody writes in a sentence: letters and digits mixed.
_NO_WORD = re.compile(r"(?=[^\s\d]{0,64}\d)(?=[^\sA-Za-z]{0,64}[A-Za-z])\S{6}")

# Signs of all that is above. What begins with other letters is looked for in one go, which is cheaper.
_SIGNS = (
    *("k_live_", "k_test_", "sk-proj-", "sk-ant-", "npm_", "hvs.", "eyJ", "hook", "api.telegram"),
    *("PRIVATE KEY", "sig=", "signature="),
)
_OTHER_SIGNS = re.compile(
    r"gh[pos]_|github_pat_|gl(?:pat-|sa_|dt-|rt-)|xox[bpa]-|xapp-|A[KS]IA|AIza|SG\.|NRAK-"
)
_FOLDED_SIGNS = (*_WORDS, "basic ", "pwd")


class Signs(NamedTuple):
    """What of a text is a sign that it may hold a secret; empty for most."""

    letters: tuple[str, ...] = ()
    folded: tuple[str, ...] = ()

    def are_in(self, said: str) -> bool:
        """Whether a part of that text may hold one."""
        if any(sign in said for sign in self.letters):
            return True
        plain = folded(said) if self.folded else ""
        return any(sign in plain for sign in self.folded)


def signs_of(said: str) -> Signs | None:
    """The signs of secrets in a text; cheap, and where there is none there is no secret."""
    plain = folded(said)
    letters = [sign for sign in _SIGNS if sign in said]
    plains = [sign for sign in _FOLDED_SIGNS if sign in plain]
    if _OTHER_SIGNS.search(said):
        letters += {found[0] for found in _OTHER_SIGNS.finditer(said)}
    if "@" in said and "://" in said:
        letters.append("@")
    if "key" in plain:
        plains += _keys_of(plain)
    return Signs(tuple(letters), tuple(plains)) if letters or plains else None


def _keys_of(plain: str) -> set[str]:
    """The kinds of keys that are named in a text: most keys are of other kinds."""
    found, at = set(), plain.find("key")
    while at >= 0:
        if plain.endswith(_KEYS, 0, at):
            found.add(plain[at - 3 : at + 3])
        at = plain.find("key", at + 3)
    return found


def hidden(said: str, *, is_code: bool = False) -> str:
    """A text with `<secret>` in the place of what has the form of one.

    `is_code`: no words of people, so that whatever a secret's name is given is one.
    """
    said = _KEY_BLOCK.sub(rf"\1{HIDDEN}", said)
    said = _IN_URL.sub(rf"\1{HIDDEN}@", said)
    said = _SIGNED_URL.sub(rf"\1{HIDDEN}", said)
    said = _ADDRESS.sub(rf"\1{HIDDEN}", said)
    said = _TOKEN.sub(HIDDEN, said)
    said = _SCHEME.sub(rf"\1{HIDDEN}", said)
    return _without_assigned(said, is_code)


def _without_assigned(said: str, is_code: bool) -> str:
    lower = said.lower()
    if len(lower) != len(said):
        # A few letters are two in small: then no place in one is the same in the other.
        lower = "".join(small if len(small := letter.lower()) == 1 else letter for letter in said)
    parts, at = [], 0
    for name in _NAME.finditer(lower):
        if name.start() < at:
            continue
        begin, end = _value(said, name, is_code)
        if end > begin:
            parts += [said[at:begin], HIDDEN]
            at = end
    return "".join((*parts, said[at:])) if parts else said


def _value(said: str, name: re.Match[str], is_code: bool) -> tuple[int, int]:
    """Where the value of a name is, between its quotes; nowhere when the name is none of a secret."""
    nowhere = (0, 0)
    between = _BETWEEN.match(said, name.end()) if is_secret(name[0]) else None
    if between is None:
        return nowhere
    at = between.end()
    if quoted := _QUOTED.match(said, at):
        mark = quoted[1] or quoted[2] or quoted[3]
        end = quoted.end() - (len(mark) if quoted[0].endswith(mark) and len(quoted[0]) > len(mark) else 0)
        return quoted.start() + len(mark), end
    if name[0].startswith("cookie") and (cookie := _COOKIE.match(said, at)):
        return cookie.span()
    value = _BARE.match(said, at)
    apart = ":" in between[0] and between[0].endswith(" ")
    if value is None or (apart and not is_code and not _NO_WORD.match(value[0])):
        return nowhere
    return value.span()
