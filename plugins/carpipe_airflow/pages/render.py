"""Pages of Jinja templates. Names, keys and messages are foreign text: all of it is escaped."""

import re
from functools import cache, partial
from itertools import groupby
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, pass_context
from jinja2.runtime import Context
from markdown_it import MarkdownIt
from markupsafe import Markup

from carpipe.backports import from_iso
from carpipe.called import SHORT, moment
from carpipe.errors import InputError, MissingError
from carpipe.html_page import POLICY, environment
from carpipe.names import shown_text
from carpipe.reasons import REASONS, in_words
from carpipe.steps.views.preview import Previews
from carpipe.steps.views.trends import lasted
from carpipe_airflow.pages import MOUNT
from carpipe_airflow.pages.links import path_of

# Pages that lie in the bucket. Whoever can write there is not let at the Airflow session: the sandbox turns scripts,
# forms and popups off, and no script-src allows any. So it is safe that they keep our origin, which they need:
# without, the browser sends no cookie when a link inside Airflow's frame leads from one of them to the next.
DOCUMENT_HEADERS = {
    "Content-Security-Policy": f"{POLICY}; sandbox allow-same-origin; frame-ancestors 'self'",
    "Cache-Control": "private, max-age=3600",
}
# Grey, to be read on light and on dark.
NO_PHOTO = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="150" height="110"><text x="75" y="59" text-anchor="middle" '
    'font-family="system-ui, sans-serif" font-size="13" fill="#7a8494">no picture</text></svg>'
)
# Keys as sentences name them, of what has a page.
MANIFEST = re.compile(r"(?<![/\w])(?:datasets|models/[\w.-]+)/([0-9a-f]{20})/manifest\.json")
# What a sentence says of where something is, as in `Dataset report: http://...`.
ADDRESS = re.compile(r"([A-Z][\w ]{2,40}): (https?://[^\s<>\"'&]*[^\s<>\"'&.,])")
PHOTO_HEADERS = {"Cache-Control": "private, max-age=3600"}


@cache
def _environment() -> Environment:
    made = environment(Path(__file__).parent / "templates")
    made.globals["meanings"] = REASONS
    made.filters |= {
        "stamp": lambda text: text[:16].replace("T", " "),
        "when": when,
        "markdown": markdown,
        "plain": plain,
        "sentences": sentences,
        "lasted": lasted,
        "model_id": model_id,
    }
    return made


def render(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page. `base` is where the pages are mounted."""
    page = _environment().get_template(f"{template}.html.j2")
    return HTMLResponse(page.render(base=request.scope["root_path"], **values), status)


def model_id(key: str) -> str:
    """Of a model's manifest key; the text itself where it is none."""
    return key.split("/")[2] if key.count("/") > 1 else key


def plain(code: str | None) -> str:
    """A reason as words: `not_a_car` as `not a car`; empty where there is none."""
    return in_words(code or "")


@pass_context
def sentences(context: Context, text: str) -> Markup:
    """What carpipe says: its lists as lists, and manifest keys as links by short ids."""
    made = Markup()
    for is_list, lines in groupby(shown_text(text).split("\n"), key=lambda line: line.startswith("- ")):
        if is_list:
            items = Markup().join(Markup("<li>{}</li>").format(line.removeprefix("- ")) for line in lines)
            made += Markup("<ul>{}</ul>").format(items)
        else:
            made += Markup("<span>{}</span>").format(" ".join(lines))
    linked = ADDRESS.sub(r'<a href="\2">\1</a>', made)
    return Markup(MANIFEST.sub(partial(_link, str(context["base"])), linked))  # noqa: S704  # escaped above


def _link(base: str, found: re.Match[str]) -> str:
    """To the page of a manifest key; the text itself where it has none."""
    path = path_of(found[0], "Dataset") or path_of(found[0], "Model card")
    return f'<a href="{base}{path}"><code>{found[1][:SHORT]}</code></a>' if path else found[0]


def when(at: str) -> str:
    """A time in ISO 8601 as names have it, to the minute; the text itself where it is none."""
    try:
        return moment(from_iso(at))
    except ValueError:
        return at


def airflow_root(request: Request) -> str:
    """Where Airflow itself is mounted: empty, or a path without a slash at its end."""
    return str(request.scope["root_path"]).removesuffix(MOUNT)


def markdown(text: str) -> Markup:
    """Markdown with tables as HTML. HTML in it stays text, pictures become links, links are http, https or relative."""
    return Markup(_markdown().render(text))  # noqa: S704  # markdown-it-py escapes what it does not make itself


@cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


def document(html: bytes) -> Response:
    """A page of the bucket."""
    return Response(html, media_type="text/html", headers=DOCUMENT_HEADERS)


def framed(request: Request, name: str, *, source: str, back: str, back_to: str, room: str) -> HTMLResponse:
    """A document of the bucket in a frame below our header, so that there is a way back, and one theme.

    Args:
        source: where the document is; as `back`, below where the pages are mounted.
        room: the page that it belongs to.
    """
    return render(request, "document", name=name, source=source, back=back, back_to=back_to, room=room)


def photo(previews: Previews, key: str) -> Response:
    """A photo made small; a placeholder for one that cannot be decoded, or is gone."""
    try:
        jpeg = previews.jpeg(key)
    except (InputError, MissingError):
        return no_photo()
    return Response(jpeg, media_type="image/jpeg", headers=PHOTO_HEADERS)


def no_photo() -> Response:
    """The placeholder."""
    return Response(NO_PHOTO, media_type="image/svg+xml")
