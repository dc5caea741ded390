# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTML that is escaped by construction: text becomes markup only through :func:`tag`."""

from __future__ import annotations

import html
import typing as t

_EMPTY = frozenset({"meta", "br", "hr"})
# A page loads nothing and runs nothing, whatever a component is called.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


class Html(str):
    """Markup that was built here, as opposed to text."""

    __slots__ = ()


Child = t.Union[str, None, t.Iterable["Child"]]


def tag(name: str, /, *children: Child, **attributes: str | None) -> Html:
    """An element. Text children are escaped, None is left out, lists are flattened.

    A trailing underscore of an attribute is dropped (``class_``), others become hyphens; None leaves it out.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value, quote=True)}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _EMPTY:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def join(children: Child) -> Html:
    """The children one after the other, text escaped."""
    if children is None:
        return Html("")
    if isinstance(children, Html):
        return children
    if isinstance(children, str):
        # Control characters are no characters of HTML.
        return Html(html.escape("".join(char if char >= " " or char in "\n\t" else "\ufffd" for char in children)))
    return Html("".join(join(child) for child in children))


def page(title: str, style: str, body: Child) -> str:
    """A whole document. ``style`` is ours, without any text from outside: it is not escaped, as a style sheet may not be."""
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="generator", content="sre.runbooks"),
        tag("title", title),
        tag("style", Html(style)),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, tag('body', body), lang='en')}\n"
