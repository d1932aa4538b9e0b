"""The page around `dvc plots show` and `dvc plots diff`, with all its scripts written into it.

DVC's own page loads Vega from a content delivery network and stays empty without one. `make` writes this one,
which carries the scripts of vl-convert-python, and tells this clone's DVC to use it. Without `make`:

    python -m lesions.commands.dvc_plots_page
"""

from pathlib import Path

import vl_convert
from dvc.config import Config

from lesions.reporting.common.templates import render

PAGE = Path(".dvc/plots_page.html")
"""From the repository's root; Git ignores it, as it does `.dvc/config.local`, which names it."""

LICENCES = Path(".dvc/plots/licences.txt")
"""Licences of the libraries in the scripts; the page carries them, as they ask."""

# `editor` would send the data to a web page, so only saving is left; SVG stays sharp on paper. The image is one thing
# for a screen reader. What a plot's script says when it fails belongs where the plot would be.
_SNIPPET = """
window.drawPlot = (place, spec, config) =>
  vegaEmbed(place, spec, {
    config,
    renderer: "svg",
    actions: {export: true, source: false, compiled: false, editor: false},
    downloadFileName: place.id,
  }).then(({view}) => {
    const svg = place.querySelector("svg");
    for (const part of svg.querySelectorAll("[role]"))
      for (const name of ["role", "aria-label", "aria-roledescription"]) part.removeAttribute(name);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", place.dataset.title);
  }).catch((error) => { place.textContent = `${place.id}: ${error.message}`; });
"""

# The browser itself refuses every address: whatever stands in the data, nothing leaves the computer.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src 'self' file: data: blob:; base-uri 'none'; form-action 'none'"
)


def scripts() -> str:
    """Return Vega, Vega-Lite and vega-embed as one script without a name of its own but `drawPlot`."""
    # In a function, or the bundle's short global names would meet those of DVC's own scripts.
    return f"(()=>{{{vl_convert.javascript_bundle(_SNIPPET)}}})();"


def page() -> str:
    """Return the page as DVC wants it: with a placeholder where the plots go.

    DVC's `{scripts}` is left out: it would become the addresses of the content delivery network.
    """
    versions = (
        f"Vega {vl_convert.get_vega_version()}, Vega-Lite {vl_convert.get_vegalite_versions()[-1]} and "
        f"Vega-Embed {vl_convert.get_vega_embed_version()}"
    )
    values = {"csp": POLICY, "scripts": scripts(), "versions": versions}
    values["licences"] = LICENCES.read_text(encoding="utf-8")
    return render("commands/dvc_plots_page.html.jinja", values)


def main() -> None:
    """Write the page, and tell DVC of it; without the page, DVC's own is used."""
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
    with Config(".dvc").edit("local") as settings:
        settings["plots"] = {**settings.get("plots", {}), "html_template": PAGE.name}
    print(f"{PAGE}: `dvc plots show` needs no network.")


if __name__ == "__main__":
    main()
