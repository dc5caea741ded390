# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must not leave a host with its diagnostics: secrets, wherever they stand in a text or in a document.

Masked is rather too much than too little. Nothing here knows all secrets there are: values that are known exactly are
given, others are found by the name that they follow or by their own form.
"""

from __future__ import annotations

import base64
import json
import re
import typing as t
import urllib.parse

from ansible_collections.sre.runbooks.plugins.module_utils._words import MASK

#: Shorter values would be found in every second word: they are masked only where a value stands.
_SHORTEST = 4
#: Of a secret that was cut off, so much is known as a part of it.
_SHORTEST_PART = 6
#: A key of 16384 bits fits.
_PEM_LENGTH = 16384
_NAMES = (
    r"(?:password|passwd|passphrase|passcode|(?<!com)(?<!by)(?<!tres)(?<!sur)(?<!under)(?<!over)(?<!im)pass(?![a-z])"
    r"|(?:(?<![a-z])|db|user|root|admin|bind|login|pg|my)pw(?![a-z])|pwd|requirepass|masterauth|secret|token|credential|authorization|cookie"
    r"|(?:api|access|private|signing|encryption|account|shared|master|auth)[_.-]?key|session[_-]?id|client[_-]?key[_-]?data)"
)
#: One of these is in every name and statement that the rules below look for.
_WORDS = (
    "pass",
    "pw",
    "secret",
    "token",
    "credential",
    "authorization",
    "masterauth",
    "cookie",
    "key",
    "session",
    "identified",
    "pwd",
)
#: A quoted value to its end, or of what has none to the end of its line.
_QUOTED = r"""\\"(?:(?!\\").)*\\"|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.|'')*'|["'][^\n]*"""
_PEM = re.compile(
    rf"-----BEGIN [A-Z0-9 ]{{1,40}}-----(?:.{{0,{_PEM_LENGTH}}}?-----END [A-Z0-9 ]{{1,40}}-----|.{{0,{_PEM_LENGTH}}})",
    re.S,
)
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{1,40}-----")
#: A line of a key, perhaps behind the time or the indentation that a log puts before it.
_PEM_LINE = re.compile(r"(?:.*[ \t])?[A-Za-z0-9+/=]{1,120}[ \t\r]*")
_PEM_LINES = 300
_FORMS = re.compile(
    r"(?<![\w-])eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.?[A-Za-z0-9_-]*"  # JSON web tokens
    r"|AGE-SECRET-KEY-(?:PQ-)?1[A-Z0-9]+"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bglpat-[A-Za-z0-9_-]{15,}"
    r"|\bxox[abeoprs]-[A-Za-z0-9-]{8,}|\bhv[sb]\.[A-Za-z0-9_-]{8,}|\b[spr]k_(?:live|test)_[A-Za-z0-9]{8,}"
    r"|(?<![0-9-])[0-9]{8,10}:AA[A-Za-z0-9_-]{30,}"
    # A key of AWS as it stands alone: of the hashes and names that are as long, none has all three kinds of characters.
    r"|(?<![A-Za-z0-9/+=_.-])(?=[a-z0-9/+]{0,39}[A-Z])(?=[A-Z0-9/+]{0,39}[a-z])(?=[A-Za-z/+]{0,39}[0-9])[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=_.-])"
    r"|\bAIza[A-Za-z0-9_-]{30,}|\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"
    r"|SCRAM-SHA-(?:1|256)\$[^\s'\"]+|\bmd5[0-9a-f]{32}\b|\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}|\$[156y]\$[^\s:'\"]{8,}"
)
_URL = re.compile(r"([a-z][a-z0-9+.-]{0,20}://)(?:[^\s'\"<>/@:]{0,200}:[^\s'\"<>]{0,1000}|[^\s'\"<>/]{1,1000})@", re.I)
#: Addresses that whoever knows them may send to: the path is the secret.
_WEBHOOK = re.compile(
    r"(https?://(?:hooks\.slack(?:-gov)?\.com/[a-z]+/|[\w.-]{1,253}\.webhook\.office\.com/|outlook\.office(?:365)?\.com/webhook/"
    r"|(?:canary\.|ptb\.)?discord(?:app)?\.com/api/webhooks/|[\w.-]{1,253}/hooks/(?=[a-z0-9]{20,}\b)|api\.telegram\.org/bot"
    r"|events\.pagerduty\.com/integration/|[\w.:-]{1,253}/services/(?=T[A-Z0-9]+/B[A-Z0-9]+/)))[^\s'\"<>]+",
    re.I,
)
#: Of signed addresses, and of those with a key in them.
_SIGNED = re.compile(
    r"([?&;](?:sig|signature|key|code|auth|x-(?:amz|goog)-(?:signature|credential))=)[^&\s'\"<>#]+", re.I
)
#: scott/SECRET@//db:1521/x, as drivers of Oracle have it.
_ORACLE = re.compile(r"(jdbc:oracle:\w{1,20}:[^\s/@]{0,100}/)[^\s@]{1,1000}(?=@)", re.I)
#: As drivers of MySQL have it: name:SECRET@tcp(host:port). From where a word begins: a password may hold anything else.
_DRIVER = re.compile(r"(?<!\S)([^\s:]*:)\S+(?<!\*{8})(?=@(?:tcp6?|unix)\()", re.I)
_SCHEME = re.compile(r"\b(Bearer|Basic|Negotiate|Digest)[ \t]+(?!auth)([^\s,\"']{6,})", re.I)
_BLOCK_MARK = re.compile(r":[ \t]*[|>][-+0-9]*[ \t]*\n")
_BLOCK = re.compile(rf"({_NAMES}[\w.-]{{0,64}}[\"']?:[ \t]*)[|>][-+0-9]*[ \t]*\n((?:[ \t]+[^\n]*(?:\n|\Z))+)", re.I)
#: In a shell: PGPASSWORD="$(cat /run/secrets/db)", which says where a secret is and not what.
_READ = r'"\$\(cat [^"`$()\n]{1,1000}\)"(?!\S)'
_ASSIGNED = re.compile(
    rf"({_NAMES}[\w.-]{{0,64}}(?:\\?[\"'])?\]?[ \t]{{0,4}})"
    rf"(?:(=>|:=|=)[ \t]{{0,4}}(?!\*{{8}}|{_READ})({_QUOTED}|\S+)|(:)(?!=)[ \t]*(?! *\*{{8}})({_QUOTED}|[^\n]+))",
    re.I,
)
_OPTION = re.compile(rf"((?<![\w-])--?[\w.-]{{0,40}}?{_NAMES}[\w.-]{{0,40}}[ \t]+)({_QUOTED}|[^\s=:-]\S*)", re.I)
#: As Redis has it, in its file and in commands.
_DIRECTIVE = re.compile(rf"(\b(?:requirepass|masterauth|rootpw|bindpw)[\"']?[ \t]+)({_QUOTED}|[^\s=:]\S*)", re.I)
#: In words: password "SECRET" was refused; password SECRET1; passwd SECRET.
_SAID = re.compile(
    r"((?<![/\w.-])[\w.-]{0,40}?(?:password|passwd|passphrase|passcode|pwd)[ \t]+(?:(?:is|was)[ \t]+)?)"
    r"""(?:\\"(?:(?!\\").)*\\"|"[^"\n]*"|'[^'\n]*'|`[^`\n]*`|(?![=:]|\*{8})(?=[^\s,;]{0,200}[0-9!@#$%^&*])[^\s,;'"`]+)""",
    re.I,
)
_PASSWD = re.compile(
    r"((?<![/\w.-])passwd[ \t]+)(?!(?:and|changed|command|database|entry|entries|failed|file|files|for|from|has|in|is|module|not|of|on|or"
    r"|program|to|was|with)\b|\*{8})[^\s=:,;'\"`][^\s,;]*",
    re.I,
)
_STATEMENT = re.compile(r"((?:password|identified[ \t\n]+by)[ \t\n]+)(?:E|U&)?'(?:[^']|'')*'?", re.I)
_SECRET_NAME = re.compile(_NAMES, re.I)
#: What follows a text that was cut off: nothing, a mark, or the next part of an error.
_CUT_OFF = re.compile(r"\s*(?:\Z|…|\.\.\.|[\"']?; (?:expected|found|next): )")
#: Options of programs by which a password is given: in the next word, behind a letter (-pSECRET) or behind "=".
_GIVEN = {
    "az": ("-p",),
    "curl": ("-u", "--user", "-U", "--proxy-user", "-H", "--header", "--oauth2-bearer"),
    "docker": ("-p",),
    "http": ("-a", "--auth"),
    "https": ("-a", "--auth"),
    "podman": ("-p",),
    "redis-cli": ("-a",),
    "smbclient": ("-U", "--user"),
    "sshpass": ("-p",),
    "wget": ("--header",),
    **dict.fromkeys(("ldapadd", "ldapdelete", "ldapmodify", "ldappasswd", "ldapsearch", "ldapwhoami"), ("-w",)),
    **dict.fromkeys(("mongo", "mongodump", "mongoexport", "mongoimport", "mongorestore", "mongosh"), ("-p",)),
}
#: Of these, -p means something else but for one of their commands.
_ONLY_WITH = {"docker": "login", "podman": "login"}
#: Of these, a password is glued to -p, which asks for one otherwise.
_ASKING = ("mysql", "mariadb")
#: Letters without a value that may stand before such an option's in the same word: curl -su name:SECRET.
_FLAGS = "[sSkfvigLNGI#46]*"


class Masker:
    """Takes secrets out of texts and of what JSON can hold.

    :arg secrets: values that are known to be secret, whatever stands around them.
    """

    def __init__(self, secrets: t.Iterable[str] = ()) -> None:
        given = {secret for secret in secrets if secret}
        known = {form for secret in given if len(secret) >= _SHORTEST for form in _forms_of(secret)}
        # The longest first: one may be part of another.
        ordered = sorted(known, key=lambda secret: (-len(secret), secret))
        found = [re.escape(secret) for secret in ordered]
        short = [re.escape(secret) for secret in sorted(given) if len(secret) < _SHORTEST]
        if short:
            # In quotes, or behind a sign that gives a value.
            alone = "|".join(short)
            found.append(rf"""(?<=["'`])(?:{alone})(?=["'`])|(?<=[=:])(?:{alone})(?![^\s"'`,;&@)\]}}])""")
        self._known = re.compile("|".join(found)) if found else None
        self._long = [secret for secret in ordered if len(secret) > _SHORTEST_PART]

    def text(self, text: str) -> str:
        """``text`` without secrets; masking it again changes nothing that matters."""
        if self._known is not None:
            text = _without_cut_off(self._known.sub(MASK, text), self._long)
        text = _PEM.sub(MASK, text)
        if _PEM_END.search(text):
            text = _without_ends(text)
        text = _FORMS.sub(MASK, text)
        text = _WEBHOOK.sub(rf"\g<1>{MASK}", text)
        text = _SIGNED.sub(rf"\g<1>{MASK}", text)
        text = _ORACLE.sub(rf"\g<1>{MASK}", text)
        text = _URL.sub(rf"\g<1>{MASK}@", text)
        text = _DRIVER.sub(rf"\g<1>{MASK}", text)
        text = _SCHEME.sub(rf"\g<1> {MASK}", text)
        lowered = text.lower()
        if not any(word in lowered for word in _WORDS):
            return text
        if _BLOCK_MARK.search(text):
            text = _BLOCK.sub(lambda found: f"{found[1]}{MASK}\n", text)
        text = _STATEMENT.sub(lambda found: f"{found[1]}{MASK}", text)
        # Looked at by their lines: most speak of nothing, which is found out much faster.
        return "\n".join(map(_line, text.split("\n")))

    def value(self, value: t.Any) -> t.Any:
        """The same shape, without secrets; what stands below a name that speaks of one is masked whole."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            # As Kubernetes and others write variables and headers: {name: TOKEN, value: …}.
            spoken = {"value"} if speaks_of_a_secret(str(value.get("name", value.get("key", "")))) else set()
            return {
                self.text(str(name)): _all_masked(item)
                if name in spoken or speaks_of_a_secret(str(name))
                else self.value(item)
                for name, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.value(item) for item in value]
        return value

    def command(self, words: t.Sequence[str]) -> str:
        """A command line, argument by argument: what follows an option that takes a secret goes too."""
        shown: list[str] = []
        options: set[str] = set()
        glued: set[str] = set()
        expecting = False
        for position, word in enumerate(words):
            if expecting:
                shown.append(MASK)
                expecting = False
                continue
            if len(inner := word.split()) > 1:
                shown.append(self.command(inner))  # of a shell, or all of a line that a program wrote over
                continue
            # It may stand behind others: sudo, timeout, env.
            program = word.rpartition("/")[2]
            if program in _GIVEN and _ONLY_WITH.get(program, word) in words[position:]:
                options.update(_GIVEN[program])
            if program.startswith(_ASKING):
                glued.add("-p")
            before = _before_value(word, options | glued)
            if before and before != word:
                shown.append(f"{before}{MASK}")
                continue
            expecting = bool(_before_value(word, options)) or (
                word.startswith("-") and "=" not in word and _SECRET_NAME.search(word) is not None
            )
            shown.append(word)
        return self.text(" ".join(shown))


def _before_value(word: str, options: t.Collection[str]) -> str:
    """Up to where the value of one of these options begins; the whole word where that is the next one; empty for none."""
    for option in options:
        found = re.match(f"{option}(?:=|$)" if option.startswith("--") else f"-{_FLAGS}{option[1:]}", word)
        if found is not None:
            return found[0]
    return ""


def _line(line: str) -> str:
    lowered = line.lower()
    if not any(word in lowered for word in _WORDS):
        return line
    line = _DIRECTIVE.sub(lambda found: f"{found[1]}{MASK}", line)
    line = _SAID.sub(lambda found: f"{found[1]}{MASK}", line)
    line = _PASSWD.sub(lambda found: f"{found[1]}{MASK}", line)
    line = _OPTION.sub(lambda found: f"{found[1]}{MASK}", line)
    return _ASSIGNED.sub(lambda found: f"{found[1]}{found[2] or found[4]}{MASK}", line)


def _without_ends(text: str) -> str:
    """Without keys whose beginning was cut off, or belongs to what was not read."""
    kept: list[str] = []
    for line in text.split("\n"):
        if not _PEM_END.search(line):
            kept.append(line)
            continue
        before = len(kept)
        while kept and before - len(kept) < _PEM_LINES and _PEM_LINE.fullmatch(kept[-1]):
            kept.pop()
        # What stands on the same line is a key that was written as one.
        kept.append(MASK + line[t.cast("re.Match[str]", _PEM_END.search(line)).end() :])
    return "\n".join(kept)


def speaks_of_a_secret(name: str) -> bool:
    """Whether what has this name is not to be shown."""
    return _SECRET_NAME.search(name) is not None


def _without_cut_off(text: str, secrets: t.Iterable[str]) -> str:
    """Without the first half or more of a secret where the text ends or says that it was cut: servers cut before we mask."""
    for secret in secrets:
        beginning = secret[: max(_SHORTEST_PART, (len(secret) + 1) // 2)]
        start = text.find(beginning)
        while start >= 0:
            end = start + len(beginning)
            while end < len(text) and end - start < len(secret) and text[end] == secret[end - start]:
                end += 1
            # What follows may begin as the secret goes on: the dots behind one that has a dot there.
            cut = next((at for at in range(end, start + len(beginning) - 1, -1) if _CUT_OFF.match(text, at)), None)
            if cut is not None:
                text = text[:start] + MASK + text[cut:]
                end = start + len(MASK)
            start = text.find(beginning, end)
    return text


def _forms_of(secret: str) -> t.Iterator[str]:
    yield secret
    yield urllib.parse.quote(secret, safe="")
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield base64.b64encode(secret.encode("utf-8", "surrogateescape")).decode()


def _all_masked(value: t.Any) -> t.Any:
    if isinstance(value, dict):
        return {str(name): _all_masked(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_all_masked(item) for item in value]
    return value if value is None or isinstance(value, bool) else MASK
