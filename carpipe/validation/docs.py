"""Makes Data Docs that open anywhere: without network, without scripts, light.

Great Expectations' own pages load styles and scripts from six public CDNs, and their index is drawn by one
of those scripts, so it is blank where the network is closed. The result pages are plain HTML beneath:
they keep it and get a small style sheet; the index is written anew.
"""

import re
import shutil
from html import escape
from pathlib import Path
from typing import Any

from carpipe.html_page import LOOK, POLICY

# Beside the style sheet of all pages, for the elements and classes of Great Expectations.
STYLE = """
h4 { font-size: 1.2rem; margin: .8rem 0 .2rem; } h5 { font-size: 1rem; margin: 0; } h6, .h6 { font-size: .9rem; font-weight: 600; margin: .6rem 0 .2rem; }
nav ol, nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem .9rem; padding: 0; margin: .4rem 0; }
nav ol { gap: .2rem .4rem; color: var(--faint); font-size: .9rem; } nav li + .breadcrumb-item:before { content: "/ "; }
.navbar, .card, .card-body { height: auto !important; max-height: none !important; }
.card-header { color: var(--faint); font-size: .85rem; margin-top: .6rem; }
.alert { background: var(--soft); border-radius: 6px; padding: .45rem .7rem; margin: 1.2rem 0 .4rem; }
.table-responsive, .show-scrollbars { overflow-x: auto; } .show-scrollbars { max-height: 20rem; }
table { font-size: .92rem; } td { overflow-wrap: anywhere; } th { white-space: normal; } td td, td th { padding: .2rem .5rem; }
.badge { margin-right: .2rem; white-space: normal; }
.fa-check-circle:before { content: "\\2713"; color: var(--good); font-weight: 700; }
.fa-times:before { content: "\\2717"; color: var(--bad); font-weight: 700; }
.collapse { display: none; }
@media (max-width: 600px) { td, th { padding: .25rem .35rem; } td td, td th { padding: .15rem .25rem; } ul, ol { padding-left: 1rem; } }
"""  # noqa: E501  # a rule a line

HEAD = (
    '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="color-scheme" content="light dark">'
    f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><style>\n{LOOK.read_text("utf-8")}{STYLE}</style>'
)

# What a page loses: scripts, logo, advertisement, and the buttons that need scripts.
STRIPPED = re.compile(
    r"<script\b.*?</script>|<footer\b.*?</footer>|<img\b[^>]*>"
    r'|<div class="card mb-3">\s*<div class="card-header p-2">\s*<strong>Actions<'
    r'.*?(?=<div class="card d-md-block)'
    r'|<p\b[^>]*>\s*<a data-toggle="collapse".*?</p>',
    re.DOTALL,
)
# Great Expectations writes values of the data into pages as they are. Photo keys are not ours, so every tag
# that its templates have no use for becomes text.
FOREIGN_TAG = re.compile(
    r"<(?!/?(?:a|br|code|div|em|h[1-6]|hr|i|li|nav|ol|p|span|strong|table|tbody|td|th|thead|tr|ul)\b)"
)


def finish_docs(folder: Path, report: dict[str, Any]) -> None:
    """Strip the rendered pages in `folder` of all they load, and write `index.html` from `report`.

    Upload `index.html` last: then whoever finds it finds the pages that it links to.
    """
    shutil.rmtree(folder / "static", ignore_errors=True)
    for page in sorted(folder.rglob("*.html")):
        page.write_text(_strip(page.read_text("utf-8")), "utf-8")
    (folder / "index.html").write_text(_index(folder, report), "utf-8")


def _strip(html: str) -> str:
    body = html[html.index("<body>") + len("<body>") : html.rindex("</body>")]
    body = FOREIGN_TAG.sub("&lt;", STRIPPED.sub("", body))
    # Its one sentence for all expectations; ours also count vehicles, classes or stages.
    body = body.replace(" total rows.", ".")
    return _page(body)


def _page(body: str) -> str:
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><title>Data Docs</title>{HEAD}</head>\n'
        f'<body><main class="doc">{body}</main></body></html>\n'
    )


def _index(folder: Path, report: dict[str, Any]) -> str:
    word = "passed" if report["success"] else "failed"
    failed = "".join(f"<li>{escape(sentence)}</li>" for sentence in report["failed"])
    rows = "".join(_index_row(folder, name, table) for name, table in report["tables"].items())
    return _page(
        f'<h1>Validation {word}</h1><div class="note {"good" if report["success"] else "bad"}">'
        f"{len(report['failed'])} of {report['expectations']} expectations are broken."
        f'{f"<ul>{failed}</ul>" if failed else ""}</div><div class="scroll"><table class="numbers">'
        "<tr><th>Table</th><th>Rows</th><th>Expectations</th><th>Broken</th><th>Suite</th></tr>"
        f"{rows}</table></div>"
    )


def _index_row(folder: Path, name: str, table: dict[str, Any]) -> str:
    result = next((folder / "validations" / name).rglob("*.html")).relative_to(folder).as_posix()
    colour = "bad" if table["failed"] else "good"
    return (
        f'<tr><td><a href="{escape(result)}">{name}</a></td><td>{table["rows"]:,}</td>'
        f'<td>{len(table["checks"])}</td><td class="{colour}">{table["failed"]}</td>'
        f'<td><a href="expectations/{name}.html">rules</a></td></tr>'
    )
