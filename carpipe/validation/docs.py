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

from carpipe.html_page import POLICY

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#222;background:#fff}
body{margin:0 auto;max-width:1200px;padding:1rem}
a{color:#0b57a4} h1,h4,h5{margin:1rem 0 .5rem} h6{margin:.5rem 0}
table{border-collapse:collapse;width:100%} td,th{text-align:left;vertical-align:top;padding:.35rem .6rem}
tr{border-bottom:1px solid #ddd} ul,ol{padding-left:1.2rem} nav ol{list-style:none;display:flex;padding:0}
nav li+li:not(.col-12):before{content:" / "} .show-scrollbars{max-height:20rem;overflow:auto}
.badge{background:#eee;border-radius:3px;padding:0 .3rem;margin-right:.2rem}
.alert{background:#f3f5f7;padding:.4rem}
.fa-check-circle:before{content:"\\2713";color:#18733a;font-weight:700}
.fa-times:before{content:"\\2717";color:#b3261e;font-weight:700}
nav{height:auto!important} .collapse{display:none}
.good{color:#18733a} .bad{color:#b3261e}
td{overflow-wrap:anywhere}
@media(max-width:600px){
body{padding:.6rem} table{display:block;overflow-x:auto} td,th{padding:.25rem .35rem} ul,ol{padding-left:1rem}
}
@media(prefers-color-scheme:dark){
body{color:#ddd;background:#181818} a{color:#8ab4f8} .alert,.badge{background:#333}
}
"""

HEAD = (
    '<meta charset="UTF-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><style>{STYLE}</style>'
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
    r"<(?!/?(?:a|body|br|code|div|em|h[1-6]|hr|html|i|li|nav|ol|p|span|strong|table|tbody|td|th|thead|tr|ul)\b)"
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
    body = html[html.index("<body") :]
    body = FOREIGN_TAG.sub("&lt;", STRIPPED.sub("", body))
    # Its one sentence for all expectations; ours also count vehicles, classes or stages.
    body = body.replace(" total rows.", ".")
    return f"<!DOCTYPE html>\n<html><head><title>Data Docs</title>{HEAD}</head>\n{body}"


def _index(folder: Path, report: dict[str, Any]) -> str:
    colour, word = ("good", "passed") if report["success"] else ("bad", "failed")
    failed = "".join(f"<li>{escape(sentence)}</li>" for sentence in report["failed"])
    rows = "".join(_index_row(folder, name, table) for name, table in report["tables"].items())
    return (
        f"<!DOCTYPE html>\n<html><head><title>Data Docs</title>{HEAD}</head>\n"
        f'<body><h1>Validation <span class="{colour}">{word}</span></h1>'
        f"<p>{len(report['failed'])} of {report['expectations']} expectations are broken.</p>"
        f"<ul>{failed}</ul><table>"
        "<tr><th>Table</th><th>Rows</th><th>Expectations</th><th>Broken</th><th>Suite</th></tr>"
        f"{rows}</table></body></html>\n"
    )


def _index_row(folder: Path, name: str, table: dict[str, Any]) -> str:
    result = next((folder / "validations" / name).rglob("*.html")).relative_to(folder).as_posix()
    colour = "bad" if table["failed"] else "good"
    return (
        f'<tr><td><a href="{escape(result)}">{name}</a></td><td>{table["rows"]:,}</td>'
        f'<td>{len(table["checks"])}</td><td class="{colour}">{table["failed"]}</td>'
        f'<td><a href="expectations/{name}.html">rules</a></td></tr>'
    )
