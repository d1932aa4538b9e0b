"""The page around `dvc plots show` and `dvc plots diff`, with all its scripts written into it.

DVC's own page loads Vega from a content delivery network and stays empty without one. `make` writes this one,
which carries the scripts of vl-convert-python, and tells this clone's DVC to use it. Without `make`:

    python -m lesions.commands.dvc_plots_page
"""

import html
from pathlib import Path

import vl_convert
from dvc.config import Config

PAGE = Path(".dvc/plots_page.html")
"""From the repository's root; Git ignores it, as it does `.dvc/config.local`, which names it."""

LICENCES = Path(".dvc/plots/licences.txt")
"""Of the libraries in the scripts; the page carries them, as they ask."""

PLACEHOLDERS = ("{plot_divs}", "{refresh_tag}", "{scripts}")
"""What DVC replaces wherever it stands, in the scripts too. The page leaves `{scripts}` out: it would become
the addresses of the content delivery network."""

# DVC calls vegaEmbed(place, spec) a plot. `editor` would send the data to a web page, so only saving is left;
# SVG stays sharp on paper. What a plot's script says when it fails belongs where the plot would be.
_SNIPPET = """
window.vegaEmbed = (place, spec) =>
  vegaEmbed(place, spec, {
    renderer: "svg",
    actions: {export: true, source: false, compiled: false, editor: false},
    downloadFileName: place.slice(1),
  }).catch((error) => { document.querySelector(place).textContent = `${place.slice(1)}: ${error.message}`; });
"""

# The browser itself refuses every address: whatever stands in the data, nothing leaves the computer.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src 'self' file: data: blob:; base-uri 'none'; form-action 'none'"
)

# Two plots a row where there is room, so that test stands beside validation; a wide one has its own row.
_STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; padding: 1.5rem; max-width: 96rem; background: #fff; color: #222;
       font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { margin: 0 0 1rem; font-size: 1.5rem; font-weight: 600; }
main { display: flex; flex-wrap: wrap; gap: 1rem; }
main > div { box-sizing: border-box; flex: 1 1 36rem; min-width: min-content; overflow-x: auto; padding: 1rem;
             border: 1px solid #ddd !important; border-radius: 6px; text-align: center; }
main > div:has(img) { flex-basis: 100%; min-width: 0; }
main > div:has(img) { white-space: normal !important; }
main > div > div[style] { margin: 0 !important; border: 0 !important; max-width: 100%; }
main > div p { margin: 0 0 .5rem; color: #555; font-size: .875rem; }
img { max-width: 100%; height: auto; }
footer { margin-top: 2rem; color: #666; font-size: .8125rem; }
footer pre { white-space: pre-wrap; }
@media (max-width: 48rem) { body { padding: .75rem; } main > div { min-width: 0; } }
@media print { main > div { break-inside: avoid; } .vega-embed details { display: none; } }
"""


def scripts() -> str:
    """Return Vega, Vega-Lite and vega-embed as one script without a name of its own but `vegaEmbed`.

    Raises:
        ValueError: the scripts hold what would end the script's element, or what DVC would replace.

    """
    bundle: str = vl_convert.javascript_bundle(_SNIPPET)
    for text in ("</script", "<!--", "\r", *PLACEHOLDERS):
        if text in bundle:
            raise ValueError(f"vl-convert's scripts hold {text!r} and cannot be written into the page as they are")
    # In a function, or the bundle's short global names would meet those of DVC's own scripts.
    return f"(()=>{{{bundle}}})();"


def page() -> str:
    """Return the page as DVC wants it: with a placeholder where the plots go."""
    versions = (
        f"Vega {vl_convert.get_vega_version()}, Vega-Lite {vl_convert.get_vegalite_versions()[-1]} and "
        f"Vega-Embed {vl_convert.get_vega_embed_version()}"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="python -m lesions.commands.dvc_plots_page">
{{refresh_tag}}
<title>Lesion Pipeline: plots</title>
<style>{_STYLE}</style>
<script>{scripts()}</script>
</head>
<body>
<h1>Lesion Pipeline: plots</h1>
<main>
{{plot_divs}}
</main>
<footer>
<details>
<summary>Drawn with {versions} (BSD-3-Clause, with parts under ISC and MIT), which this page holds.</summary>
<pre>{html.escape(LICENCES.read_text(encoding="utf-8"))}</pre>
</details>
</footer>
</body>
</html>
"""


def main() -> None:
    """Write the page, and tell DVC of it; without the page, DVC's own is used."""
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
    with Config(".dvc").edit("local") as settings:
        settings["plots"] = {**settings.get("plots", {}), "html_template": PAGE.name}
    print(f"{PAGE}: `dvc plots show` needs no network.")


if __name__ == "__main__":
    main()
